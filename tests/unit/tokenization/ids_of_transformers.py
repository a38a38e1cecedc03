"""Texts to encode, and what transformers makes of them.

`python -m tests.unit.tokenization.ids_of_transformers DIRECTORY`, run where transformers is
installed, prints their ids without and with special tokens. It needs nothing of SMG.
"""

from __future__ import annotations

import json
import random
import sys

_PARTS = (
    *("Hello", " world", "the quick brown fox", "DON'T", " don't we'll", "123456789", " 3.14"),
    *(
        "\n",
        "\n\n  ",
        "\t",
        "   ",
        "\r\n",
        "漢字かな",
        "한국어",
        "ελληνικά",
        "русский",
        "עברית",
        "हिन्दी",
    ),
    *(
        "🎉",
        "👩‍👩‍👧",
        "é",
        "e\u0301",
        "ﬁ",
        "\u00a0",
        "\u200b",
        "<|im_start|>",
        "<｜User｜>",
        "</s>",
    ),
    *("def f(x):\n    return x", "{'a': [1, 2]}", "https://example.org/?a=b", "<think>", "x" * 40),
)


def texts() -> list[str]:
    """Texts with everything that tokenizers treat specially, always the same."""
    rng = random.Random(7)
    mixed = ["".join(rng.choices(_PARTS, k=rng.randrange(1, 25))) for _ in range(300)]
    return ["", " ", *_PARTS, *mixed]


def main(folder: str) -> None:
    """Print the ids."""
    import transformers  # type: ignore[import-not-found]

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    print(
        json.dumps(
            [
                [tokenizer.encode(text, add_special_tokens=special) for text in texts()]
                for special in (False, True)
            ]
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
