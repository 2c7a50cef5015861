"""The geoflow app; `apps/gradio_app.py` starts it.

| room | what is in it |
|---|---|
| `page` | the page: the list of tabs, theme, style |
| `tabs` | a file for each tab, and for the panels that tabs share: `walk`, `exports` |
| `parts` | what tabs are made of: components, files, scenes, examples |
| `server` | sessions, the one worker for the model, what is refused; no gradio in there |

Each imports from those below it: page, tabs, parts, server.
"""
