"""Questions that `pulpo top` asks before it changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option


class Confirm(ModalScreen[bool]):
    """Asks one question; only ``y`` is yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question, and which keys answer it."""
        with Vertical(classes="dialog"):
            yield Label(self._question, markup=False)
            yield Label("y yes   n no", classes="keys", markup=False)

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)


class Choose(ModalScreen[str | None]):
    """Asks for one of several things."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Leave")]

    def __init__(self, question: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._question = question
        self._choices = choices

    def compose(self) -> ComposeResult:
        """The question and what there is to choose from."""
        with Vertical(classes="dialog"):
            yield Label(self._question, markup=False)
            yield OptionList(*(Option(text, id=name) for name, text in self._choices), markup=False)
            yield Label("enter choose   esc leave", classes="keys", markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Close with what was chosen."""
        self.dismiss(event.option.id)

    def action_leave(self) -> None:
        """Close with nothing."""
        self.dismiss(None)
