"""What a program printed, but for what the machine's rounding decides."""

import re


def gist(text):
    """The text without numbers, the widths of columns that follow from them, and which of equal places is the worst."""
    text = re.sub(r"from (output \[.*?\]|a random sum of the outputs)", "from one", text)
    return re.sub(r"-?\d[\d.e+-]*", "#", re.sub(" +", " ", text)).strip()
