"""What a person fills in to make or deploy a site. Rules of names and sources are the domain's; here they are only asked."""

from __future__ import annotations

from typing import Any

from django import forms

SOURCES = (("template", "A template"), ("upload", "An archive"), ("git", "A git repository"))
LATER = ("push", "Later, with git push")


def _control(**attributes: str) -> dict[str, str]:
    return {"class": "form-control", "autocomplete": "off", "spellcheck": "false", **attributes}


class SourceForm(forms.Form):
    """Where the code comes from. Valid when the chosen source has what it needs."""

    source = forms.ChoiceField(choices=SOURCES)
    template = forms.CharField(max_length=40, required=False)
    archive = forms.FileField(required=False, allow_empty_file=False)
    git_url = forms.CharField(
        label="Address",
        max_length=1000,
        required=True,
        widget=forms.TextInput(attrs=_control(placeholder="https://example.org/alice/site.git", inputmode="url")),
    )
    git_ref = forms.CharField(
        label="Branch or tag", max_length=200, required=False, widget=forms.TextInput(attrs=_control(placeholder="default branch"))
    )

    needs = (
        ("template", "template", "Choose a template."),
        ("upload", "archive", "Choose an archive."),
        ("git", "git_url", "Enter the address of the repository."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The address is only needed for one of the sources; the browser must not insist on a field that is not shown.
        self.fields["git_url"].required = not self.is_bound
        self.use_required_attribute = False

    def clean(self) -> dict[str, Any]:
        """Each source brings its own field."""
        cleaned: dict[str, Any] = super().clean() or {}
        for source, field, problem in self.needs:
            if cleaned.get("source") == source and not cleaned.get(field) and field not in self.errors:
                self.add_error(field, problem)
        return cleaned


class CreateForm(SourceForm):
    """A new site: a source, a name, and the team it belongs to. ``teams`` are the names of those in which the person may make one."""

    name = forms.CharField(max_length=200)
    team = forms.ChoiceField(required=False, widget=forms.Select(attrs={"class": "form-select"}))

    def __init__(self, *args: Any, teams: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        source = self.fields["source"]
        assert isinstance(source, forms.ChoiceField)
        source.choices = [*SOURCES, LATER]
        field = self.fields["team"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(name, name) for name in teams]
        field.required = len(teams) > 1
