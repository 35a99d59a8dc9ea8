"""How long a user waits before anything happens."""

import subprocess
import sys

from benchmarks.timing import row, tell, time_in_turn


def program(*words):
    """A function that runs Python with these words and waits for it."""

    def run():
        subprocess.run(  # noqa: S603
            [sys.executable, *words], check=True, capture_output=True
        )

    return run


def main():
    programs = {
        "kerasrecipes list": program("-m", "kerasrecipes", "list"),
        "import kerasrecipes.layers": program(
            "-c", "import kerasrecipes.layers"
        ),
        "python -c pass": program("-c", "pass"),
        "import keras": program("-c", "import keras"),
    }
    names = list(programs)
    seconds = time_in_turn(*programs.values())
    for pair in (
        ("kerasrecipes list", "python -c pass"),
        ("kerasrecipes list", "import keras"),
        ("import kerasrecipes.layers", "import keras"),
    ):
        places = [names.index(name) for name in pair]
        tell(row(*pair, "", seconds[:, places]))


if __name__ == "__main__":
    main()
