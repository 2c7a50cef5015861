"""The parts of the geoflow app; `apps/gradio_app.py` starts it.

| module | what is in it |
|---|---|
| `sessions` | a folder for each open page, its shapes, and when they go |
| `studio` | the one worker for the model: noise in, shape out, pictures; no gradio in here |
| `files` | shapes to files in every format, and zips of them |
| `guard` | what the server refuses to serve |
| `page` | the page: the list of tabs, theme, bars |
| `generate`, `walk`, `exports`, `compare`, `meshes`, `blender` | one part of the page each |
"""
