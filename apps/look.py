"""The look that all pages share: the theme of Gradio's own controls, the style sheets, and what goes into the head."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from apps.components import scripts
from apps.plotting import settings_script

STATIC = Path(__file__).parent / "static"
SHEETS = ("base", "search", "figures", "forms", "learn", "wide")
SANS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]


def theme() -> gr.themes.Base:
    """Gradio's controls in the colours of the pages, with the fonts of the system: nothing is fetched."""
    colours = {
        "body_background_fill": "var(--paper)", "body_text_color": "var(--ink)",
        "body_text_color_subdued": "var(--soft)", "background_fill_primary": "var(--card)",
        "background_fill_secondary": "var(--paper)", "border_color_primary": "var(--line)",
        "block_background_fill": "var(--card)", "block_border_color": "var(--line)",
        "block_label_text_color": "var(--soft)", "block_title_text_color": "var(--soft)",
        "block_info_text_color": "var(--soft)", "input_background_fill": "var(--card)",
        "input_border_color": "var(--field)", "button_primary_background_fill": "var(--accent)",
        "button_primary_background_fill_hover": "var(--accent)", "button_primary_text_color": "var(--card)",
        "button_primary_border_color": "var(--accent)", "button_secondary_background_fill": "transparent",
        "button_secondary_background_fill_hover": "var(--line)", "button_secondary_text_color": "var(--ink)",
        "button_secondary_border_color": "var(--field)", "slider_color": "var(--accent)",
        "color_accent": "var(--accent)", "color_accent_soft": "rgba(var(--heat), .13)",
        "checkbox_background_color": "var(--card)", "checkbox_background_color_selected": "var(--accent)",
        "checkbox_border_color": "var(--field)", "checkbox_border_color_selected": "var(--accent)",
        "checkbox_label_background_fill": "transparent", "checkbox_label_text_color": "var(--ink)",
        "checkbox_label_background_fill_selected": "rgba(var(--heat), .13)",
        "checkbox_label_text_color_selected": "var(--ink)", "panel_background_fill": "transparent",
        "error_background_fill": "var(--card)", "error_text_color": "var(--accent2)",
        "error_border_color": "var(--accent2)", "link_text_color": "var(--accent)",
    }  # fmt: skip
    both = {**colours, **{f"{name}_dark": value for name, value in colours.items()}}
    known = {name for name in dir(gr.themes.Base().set()) if not name.startswith("_")}
    return gr.themes.Base(font=SANS, font_mono=MONO).set(**{k: v for k, v in both.items() if k in known})


def head() -> str:
    """Style sheets and scripts of the pages, inline."""
    sheets = "\n".join((STATIC / f"{name}.css").read_text(encoding="utf-8") for name in SHEETS)
    script = f"{scripts()}\n{settings_script()}"
    return f'<style id="liw-style">\n{sheets}\n</style>\n<script id="liw-script">\n{script}\n</script>'
