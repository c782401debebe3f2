from dataclasses import fields
from typing import get_type_hints

from clew.settings import Arguments, Settings
from tests.docs import settings_page


def test_the_page_lists_every_setting_as_the_code_has_it() -> None:
    assert settings_page.written() == settings_page.table(), "run `python -m tests.docs.settings_page`"


def test_every_setting_is_an_argument_of_configure() -> None:
    assert get_type_hints(Arguments).keys() | {"service"} == {setting.name for setting in fields(Settings)}
