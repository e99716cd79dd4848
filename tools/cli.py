"""The command `pombo`. Exit status: 0 done, 1 the answer is no, 2 the command or the node is not usable."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tools import file_commands, init_command, mend_command, node_commands, people_commands
from tools.node import DEFAULT_CONFIG, SYSTEM_CONFIG, NodeError, config_path
from tools.terminal import Terminal
from tools.units import seconds

Command = Callable[[argparse.Namespace, Terminal], int]


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="pombo",
        description="SMPP gateway and SMS centre with a WhatsApp bridge.",
        epilog=f"Commands find the node through POMBO_CONFIG (default: {DEFAULT_CONFIG}, else {SYSTEM_CONFIG}).",
    )
    top.add_argument("--version", action="version", version=f"pombo {_version()}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        one.set_defaults(run=run)
        return one

    files, node, people = file_commands, node_commands, people_commands
    one = add("init", init_command.init, "write a configuration to begin with, passwords for it, and examples")
    one.add_argument("directory", metavar="DIR")
    one.add_argument("--state", metavar="DIR", help="where the store goes (default: DIR)")
    add("check", files.check, "check a configuration file").add_argument("file", metavar="FILE", nargs="?")
    one = add("diff", files.diff, "say what would change on a node that runs with file A and reads file B")
    one.add_argument("files", metavar="FILE", nargs="*", action=AtMostTwo,
                     help="A and B; B alone: A is the node's file; none: what a reload would change")  # fmt: skip
    add("schema", files.schema, "print the JSON Schema of the configuration, for editors")
    add("hash", files.hash_, "make a password_hash of a password read from a prompt or standard input")
    one = add("run", run, "run the gateway")
    one.add_argument("file", metavar="FILE", nargs="?")
    one.add_argument("--workers", type=workers, default=1, metavar="N",
                     help="so many processes, together one node (1); auto: one for each processor")  # fmt: skip
    one = add("mend", mend_command.mend, "go on without what cannot be read of a damaged embedded store")
    one.add_argument("file", metavar="FILE", nargs="?")
    one.add_argument("--yes", action="store_true", help="cut it off, and keep it in a file of its own")
    one = add("status", node.status, "print binds, channels, queues and pending receipts")
    one.add_argument("--json", action="store_true")
    one.add_argument("--watch", action="store_true", help="again and again, until interrupted")
    one.add_argument("--every", type=seconds, default=2.0, metavar="T", help="with --watch: how often (2s)")
    one = add("trace", node.trace, "print every event of a message, or of the last messages of a number")
    one.add_argument("what", metavar="ID_OR_NUMBER")
    one.add_argument("--limit", type=int, default=10, help="messages of a number (%(default)s)")
    one = add("events", node.events, "print the event feed as JSON lines")
    one.add_argument("--follow", action="store_true", help="go on with what happens")
    one.add_argument("--since", metavar="T", help="an age such as 10m, or a moment such as 2026-11-21T10:00 (UTC)")
    one.add_argument("--account", default="", metavar="A", help="of one account only")
    one = add("send", node.send, "send one message through the whole path and wait for its final state")
    one.add_argument("--account", required=True, metavar="A")
    one.add_argument("--to", required=True, metavar="N")
    one.add_argument("--from", dest="source", metavar="F", help="source address (default: the account's)")
    one.add_argument("--priority", choices=("high", "normal", "low"))
    one.add_argument("--validity", metavar="T", help="how long it may take, such as 10m")
    one.add_argument("text", metavar="TEXT")
    one = add("receipts", node.receipts, "list receipts that wait for a bind, or send an account its receipts again")
    what = one.add_subparsers(dest="what", required=True, metavar="pending|resend")
    what.add_parser("pending", help="how many wait for each account")
    again = what.add_parser("resend", help="send the receipts of finished messages again")
    again.add_argument("--account", required=True, metavar="A")
    again.add_argument("--since", required=True, metavar="T",
                       help="of messages accepted since: an age such as 2h, or 2026-11-21T10:00 (UTC)")  # fmt: skip
    add("export", people.export, "print everything that is known of a number as JSON, texts included").add_argument(
        "number", metavar="NUMBER")  # fmt: skip
    one = add("erase", people.erase, "erase what is known of a number; counts, states and receipts stay")
    one.add_argument("number", metavar="NUMBER")
    one.add_argument("--cancel", action="store_true", help="cancel first what is under way, as far as it may be")
    one.add_argument("--wait", action="store_true", help="wait until all that is under way has ended")
    one = add("unmatched", node.unmatched, "print the shapes of texts that no template stands for, each with a draft")
    one.add_argument("--limit", type=int, default=10, help="how many, commonest first (%(default)s)")
    one.add_argument("--json", action="store_true")
    add("reload", node.reload, "make the node read its configuration again")
    one = add("config", node.config_, "print the configuration that the node runs with, without its secrets")
    one.add_argument("what", choices=("export",), nargs="?", default="export")
    add("simulate", simulate, "run a part of the laboratory: smsc, whatsapp or esme")
    add("completion", completion, "print a completion script for a shell").add_argument(
        "shell", choices=("bash", "zsh", "fish", "tcsh")
    )
    add("version", lambda options, terminal: print(f"pombo {_version()}") or 0, "print the version")
    return top


class AtMostTwo(argparse.Action):
    """Of a list of words."""

    def __call__(self, parser: argparse.ArgumentParser, space: argparse.Namespace, words: Any, _: Any = None) -> None:
        if len(words) > 2:
            parser.error("give two files at most")
        setattr(space, self.dest, words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `pombo`; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _simulate_options(words[1:]) if words[:1] == ["simulate"] else parser().parse_args(words)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  (whoever started us has closed it)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for what the locale has no character for
    terminal = Terminal(sys.stdout)
    try:
        command: Command = options.run
        status = command(options, terminal)
        sys.stdout.flush()
        return status
    except NodeError as error:
        print(f"pombo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        _write_no_more()
        return 0
    except OSError as error:
        _write_no_more()
        print(f"pombo: {error.strerror or error}", file=sys.stderr)
        return 2


def _write_no_more() -> None:
    """What is still to be written cannot be: nor can it when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version() -> str:
    try:
        return version("pombo")
    except PackageNotFoundError:
        return "(not installed)"


def workers(text: str) -> int:
    """How many processes `pombo run` is."""
    from tools.run_workers import how_many

    return how_many(text)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo run [FILE]`."""
    path = config_path(os.environ, options.file)
    if options.workers > 1:
        from tools.run_workers import run_workers

        return run_workers(path, os.environ, options.workers)
    from tools.run import run_gateway

    return run_gateway(path, os.environ)


def completion(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo completion SHELL`."""
    import shtab  # needed by nobody else

    from tools import laboratory

    top = parser()
    laboratory.add_arguments(_commands(top)["simulate"])
    _complete_paths(top, {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY})
    print(shtab.complete(top, options.shell))
    return 0


def _commands(one: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [action.choices for action in one._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: inner for choices in found for name, inner in choices.items()}


def _complete_paths(one: argparse.ArgumentParser, kinds: dict[str, Any]) -> None:
    """What is a path to a command is one to the shell."""
    for action in one._actions:
        if action.metavar in kinds:
            vars(action)["complete"] = kinds[str(action.metavar)]
    for inner in _commands(one).values():
        _complete_paths(inner, kinds)


def simulate(options: argparse.Namespace, terminal: Terminal) -> int:
    """`pombo simulate ...`: see tools.laboratory, which loads Twisted and is therefore imported only now."""
    from tools import laboratory

    return laboratory.simulate(options, terminal)


def _simulate_options(words: Sequence[str]) -> argparse.Namespace:
    from tools import laboratory

    own = argparse.ArgumentParser(prog="pombo simulate")
    laboratory.add_arguments(own)
    own.set_defaults(run=simulate)
    return own.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
