"""The command line of a recipe, read from its file without importing it."""

import ast
import codecs
import errno
import inspect
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Group, Parameter, Token
from cyclopts.validators import Number

from kerasrecipes.catalogue import (
    BACKENDS,
    Recipe,
    RecipeError,
    constant,
    main_function,
)
from kerasrecipes.text import plain_text


def _whole(kind: type, tokens: list[Token]) -> int:
    """Reads a whole number; 2.5 is none, and is not rounded to one."""
    word = tokens[0].value
    try:
        return int(word)
    except ValueError:
        raise ValueError(
            f'expected a whole number. Received: "{word}"'
        ) from None


Whole = Annotated[int, Parameter(converter=_whole)]
Count = Annotated[int, Parameter(converter=_whole, validator=Number(gte=1))]
"""A whole number of at least 1, for the options of a recipe's `main`."""

TYPES = {"Count": Count, "int": Whole, "float": float, "str": str, "bool": bool}
EVERY = Group("Options of every recipe")


class UsageError(ValueError):
    """Something on the command line that cannot be."""


def _every(text: str) -> Parameter:
    return Parameter(help=text, group=EVERY, negative="", show_default=False)


@dataclass(frozen=True)
class Options:
    """What every recipe can be told."""

    quick: Annotated[
        bool, _every("A run of seconds, to see it work. Takes no times.")
    ] = False
    full: Annotated[
        bool, _every("The long run that results are recorded with.")
    ] = False
    recorded: Annotated[
        bool, _every("Replay the recorded trials; trains nothing.")
    ] = False
    jobs: Annotated[
        Count | None, _every("Processes at a time. Default: what pays.")
    ] = None
    cluster: Annotated[
        str | None, _every("Address of a Dask scheduler to send trials to.")
    ] = None
    backend: Annotated[
        Literal[BACKENDS] | None, _every("The engine under Keras.")
    ] = None
    device: Annotated[
        Literal["cpu"] | None, _every("Leaves a GPU alone that is there.")
    ] = None
    out: Annotated[
        Path | None, _every("Folder for report and figures. Default: runs/.")
    ] = None
    json: Annotated[bool, _every("Print the report as JSON, nothing else.")] = (
        False
    )


def _annotation(node: ast.expr | None, where: str) -> Any:
    """The type that an annotation in a recipe's `main` stands for."""
    if isinstance(node, ast.Name) and node.id in TYPES:
        return TYPES[node.id]
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
        return Literal[ast.literal_eval(node.slice)]
    raise RecipeError(
        f"{where}: expected a type out of {', '.join(TYPES)}, Literal. "
        f"Received: {ast.unparse(node) if node else 'none'}"
    )


def parameters(path: Path) -> list[inspect.Parameter]:
    """The parameters of a recipe's `main`, from its syntax tree."""
    arguments = main_function(path).args
    found = []
    first_default = len(arguments.args) - len(arguments.defaults)
    for number, argument in enumerate(arguments.args):
        where = f"{path.parent.name}/{path.name}, `main`, `{argument.arg}`"
        if number < first_default:
            raise RecipeError(f"{where}: expected a default.")
        default = arguments.defaults[number - first_default]
        try:
            value = ast.literal_eval(default)
        except ValueError:
            raise RecipeError(
                f"{where}: expected a literal as default. "
                f"Received: {ast.unparse(default)}"
            ) from None
        found.append(
            inspect.Parameter(
                argument.arg,
                inspect.Parameter.KEYWORD_ONLY,
                default=value,
                annotation=_annotation(argument.annotation, where),
            )
        )
    return found


def command(recipe: Recipe, prog: str) -> App:
    """The command line of a recipe, as a cyclopts application."""
    every = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=field.type,
        )
        for field in fields(Options)
    ]

    def run(**given):
        return given

    run.__signature__ = inspect.Signature([*parameters(recipe.path), *every])
    run.__annotations__ = {
        name: parameter.annotation
        for name, parameter in run.__signature__.parameters.items()
    }
    run.__doc__ = ast.get_docstring(main_function(recipe.path))
    first = recipe.story.split("\n\n")[0]
    app = App(
        name=prog,
        help=f"{recipe.title}. {plain_text(first)}",
        version_flags=[],
        result_action="return_value",
    )
    app.default(run)
    return app


def parse(recipe: Recipe, tokens: list[str], prog: str):
    """Reads a recipe's command line.

    Args:
        recipe: the recipe.
        tokens: the words after its name.
        prog: how the command is called, for its help.

    Returns:
        The settings that were given, and the `Options`; or None where help
        was asked for and has been printed.

    Raises:
        UsageError: one line on what is wrong.
    """
    app = command(recipe, prog)
    if any(token in ("--help", "-h") for token in tokens):
        app.help_print([])
        return None
    _, bound = bind(app, tokens)
    given = dict(bound.arguments)
    names = {field.name for field in fields(Options)}
    chosen = Options(**{n: v for n, v in given.items() if n in names})
    settings = {n: v for n, v in given.items() if n not in names}
    if chosen.quick + chosen.full + chosen.recorded > 1:
        raise UsageError("Give one of --quick, --full and --recorded.")
    if chosen.cluster and (chosen.jobs or chosen.recorded):
        raise UsageError("--cluster goes with neither --jobs nor --recorded.")
    if chosen.recorded and settings:
        option = f"--{next(iter(settings)).replace('_', '-')}"
        raise UsageError(
            f"--recorded replays what was run: {option} cannot change it."
        )
    return settings, chosen


def bind(
    app: App, tokens: list[str]
) -> tuple[Callable, inspect.BoundArguments]:
    """The command that the words name, and its arguments.

    Raises:
        UsageError: one line on what is wrong.
    """
    try:
        command, bound, *_ = app.parse_args(
            tokens, exit_on_error=False, print_error=False
        )
    except CycloptsError as error:
        line = " ".join(str(error).split())
        if "Unused Tokens" in line:
            line = f"There is no argument {shlex.join(tokens)!r} here."
        raise UsageError(line) from None
    return command, bound


def guarded(command: Callable[..., int | None], *arguments) -> int:
    """Calls a command; what a user can mend becomes one line and exit 2.

    Ctrl-C ends with 130, the shells' number for it.
    """
    # A console that knows no minus sign or ± gets what it knows.
    plain = {"−": "-", "±": "+-", "×": "x"}
    codecs.register_error(
        "plain",
        lambda error: (
            "".join(
                plain.get(sign, "?")
                for sign in error.object[error.start : error.end]
            ),
            error.end,
        ),
    )
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plain")
    try:
        status = command(*arguments) or 0
        sys.stdout.flush()
        return status
    except (UsageError, RecipeError) as error:
        print(f"kerasrecipes: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # What is still to be printed may have been the file that was full.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"kerasrecipes: {error}", file=sys.stderr)
        return 2


def size_settings(path: Path, size: str) -> dict:
    """Settings of a run's size, out of QUICK or FULL.

    Args:
        path: the recipe's file.
        size: "QUICK" or "FULL".

    Returns:
        Keyword arguments of `main`; for QUICK also, where it names them,
        "variants" and "conditions".
    """
    settings = constant(path, size)
    if settings is None and size == "FULL":
        defaults = {p.name: p.default for p in parameters(path)}
        if "seeds" in defaults:
            return {"seeds": max(10, defaults["seeds"])}
    return dict(settings or {})
