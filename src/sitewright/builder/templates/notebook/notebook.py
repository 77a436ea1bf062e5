import marimo

app = marimo.App(width="medium", app_title="Notebook")


@app.cell
def _():
    import math

    import marimo as mo

    return math, mo


@app.cell
def _(mo):
    mo.md("""
    # How far away is the horizon?

    Move the slider: everything that depends on it is computed anew.
    """)
    return


@app.cell
def _(mo):
    height = mo.ui.slider(1, 200, value=30, label="Height of your eyes above the sea (m)", show_value=True)
    height
    return (height,)


@app.cell
def _(height, math, mo):
    radius = 6_371_000
    distance = math.sqrt(2 * radius * height.value) / 1000
    mo.md(f"From there you see **{distance:.1f} km** far.")
    return


if __name__ == "__main__":
    app.run()
