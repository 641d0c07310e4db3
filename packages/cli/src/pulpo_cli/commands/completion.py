"""`pulpo completion`: the script that teaches a shell to complete pulpo's commands."""

from __future__ import annotations

import rich_click as click
from click.shell_completion import get_completion_class

from pulpo_cli.frame import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: eval "$(pulpo completion bash)"      in ~/.bashrc
    zsh:  eval "$(pulpo completion zsh)"       in ~/.zshrc
    fish: pulpo completion fish > ~/.config/fish/completions/pulpo.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(context.find_root().command, {}, "pulpo", "_PULPO_COMPLETE").source())
