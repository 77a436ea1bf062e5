"""Pages."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from notes.models import Note


class NoteForm(forms.ModelForm):
    class Meta:
        model = Note
        fields = ["text"]
        widgets = {"text": forms.Textarea(attrs={"rows": 3})}


def notes(request: HttpRequest) -> HttpResponse:
    form = NoteForm(request.POST or None)
    if form.is_valid():
        form.save()
        return redirect("notes")
    return render(request, "notes/notes.html", {"form": form, "notes": Note.objects.all()[:100]})
