"""What commands and scripts share: expected errors are one line and an exit code."""

import pytest
from typer.testing import CliRunner

from geoflow.checks import at_least
from geoflow.cli import script


def fail_with(error):
    def main() -> None:
        raise error

    return CliRunner().invoke(script(main))


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("it must\n be so"), 1, "it must be so"),
        (OSError("no disk"), 1, "no disk"),
        (
            ModuleNotFoundError("No module named 'accelerate'", name="accelerate"),
            1,
            "the module accelerate must be installed; it is not; pip install 'geoflow[train]'",
        ),
        (
            ModuleNotFoundError("No module named 'gradio.themes'", name="gradio.themes"),
            1,
            "the module gradio must be installed; it is not; pip install 'geoflow[app]'",
        ),
    ],
)
def test_an_expected_error_is_one_line(error, code, line):
    result = fail_with(error)
    assert (result.exit_code, result.stderr) == (code, f"geoflow: {line}\n")


def test_another_error_keeps_its_traceback():
    error = ZeroDivisionError("a bug")
    assert fail_with(error).exception is error


def test_a_wrong_argument_is_code_two():
    def main(count: int = 1) -> None:
        at_least("--count", 0, 1)

    assert CliRunner().invoke(script(main), ["--count", "x"]).exit_code == 2
    result = CliRunner().invoke(script(main))
    assert result.exit_code == 2 and "--count must be at least 1" in result.stderr


def test_an_interrupt_is_code_130():
    assert fail_with(KeyboardInterrupt()).exit_code == 130
