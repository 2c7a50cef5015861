"""Pictures of the app's tabs for the README.

python benchmarks/app_pictures.py [assets [TAB ...]]; a TAB is generate, compare, mesh, joints,
surface, blender, or phone for all of the app on one.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from app_load import CHROMIUM_FLAGS, ROOT, chromium, running

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True,
    "device_scale_factor": 1.5,
}  # fmt: skip


def generate_tab(page: Any) -> None:
    """Shapes of all categories, one more like another, and a walk."""
    page.get_by_label("Category").click()
    page.get_by_role("option", name="all", exact=True).click()
    page.get_by_label("Randomise the seed").uncheck()
    page.get_by_label("Seed", exact=True).fill("3")
    for label, value in (("How many", "12"), ("Steps", "2")):
        field = page.get_by_label(f"number input for {label}").first
        field.fill(value)
        field.press("Tab")
    page.get_by_label("128", exact=True).first.check()
    page.click("#generate")
    shown = "n => document.querySelectorAll('#shapes img').length >= n"
    page.wait_for_function(shown, arg=12)
    page.locator("#shapes button").nth(3).click()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Between these two").click()
    page.locator("#frame img").wait_for()
    page.get_by_role("button", name="Export", exact=True).first.click()
    page.get_by_role("button", name="Download").first.wait_for()


def compare_tab(page: Any) -> None:
    """One noise, four numbers of calls."""
    page.get_by_role("tab", name="Compare").click()
    page.click("#compare")
    page.locator(".caption", has_text="for 50 calls").wait_for()


def mesh_tab(page: Any) -> None:
    """An opened file."""
    import trimesh

    page.get_by_role("tab", name="Your mesh").click()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ring.ply"
        trimesh.creation.torus(0.3, 0.1).export(path)
        page.locator("#upload input[type=file]").set_input_files(path)
        page.locator(".facts", has_text="ring.ply").wait_for()


def joints_tab(page: Any) -> None:
    """The example's skeleton."""
    page.get_by_role("tab", name="Joints").click()
    page.get_by_role("button", name="An example").click()
    page.locator(".facts", has_text="Found in").wait_for()


def surface_tab(page: Any) -> None:
    """The example's points and surface."""
    page.get_by_role("tab", name="Surface from points").click()
    page.get_by_role("button", name="An example").click()
    page.locator(".facts", has_text="Closed").last.wait_for()


def blender_tab(page: Any) -> None:
    """The script."""
    page.get_by_role("tab", name="Use from Blender").click()


def phone(page: Any) -> None:
    """Shapes of all categories, on a phone."""
    page.get_by_label("Category").click()
    page.get_by_role("option", name="all", exact=True).click()
    page.get_by_label("Randomise the seed").uncheck()
    page.get_by_label("Seed", exact=True).fill("3")
    page.click("#generate")
    page.wait_for_function("document.querySelectorAll('#shapes img').length >= 4")
    page.evaluate("document.querySelector('.viewer').scrollIntoView()")


def main() -> None:
    """Writes app_TAB.png into the folder."""
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "assets"
    tabs = {
        "generate": generate_tab,
        "compare": compare_tab,
        "mesh": mesh_tab,
        "joints": joints_tab,
        "surface": surface_tab,
        "blender": blender_tab,
    }
    with running(["--device", "cpu"]) as app, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        wanted = sys.argv[2:] or [*tabs, "phone"]
        page = opened(browser, app.url, viewport={"width": 1440, "height": 1000})
        for name in wanted:
            if name != "phone":
                tabs[name](page)
                page.wait_for_timeout(4000)
                page.screenshot(path=folder / f"app_{name}.png", full_page=True)
        if "phone" in wanted:
            page = opened(browser, app.url, **PHONE)
            phone(page)
            page.wait_for_timeout(4000)
            page.screenshot(path=folder / "app_phone.png")
        browser.close()


def opened(browser: Any, address: str, **options: Any) -> Any:
    """The app in a browser's window."""
    page = browser.new_page(**options)
    page.set_default_timeout(120_000)
    page.goto(address)
    page.get_by_text("Shape", exact=True).first.wait_for()
    return page


if __name__ == "__main__":
    main()
