"""Writes demo/prompts.jsonl: a hundred rows in the manner of the plays, a few with settings."""

import json
import sys
from pathlib import Path

SPEAKERS = """ROMEO JULIET MERCUTIO TYBALT BENVOLIO GLOUCESTER PETRUCHIO KATHARINA CORIOLANUS
MENENIUS VOLUMNIA LEONTES PAULINA HERMIONE PROSPERO MIRANDA ARIEL CALIBAN ISABELLA ANGELO
LUCIO BUCKINGHAM CLARENCE WARWICK""".split() + [
    "DUKE VINCENTIO",
    "KING RICHARD II",
    "KING HENRY VI",
    "QUEEN MARGARET",
]
SPEAKERS += ["LADY ANNE", "FRIAR LAURENCE", "First Citizen", "Second Murderer", "Nurse"]

OPENINGS = """What light is this
O, speak again
Good morrow, my lord
I will not go to war
Give me thy hand
The king is dead
My heart is heavy, and
Where is my father
Come, gentle night
Who calls so loud
Thou art a villain
Peace, good friend
The people love him not
If I must die
How now, what news
Sweet lady, hear me
A horse, a horse
This island is mine
I have not slept since
Let us to the Capitol
The tempest roars
He was an honest man
Away, you knave
Madam, the duke is here
To be a queen
These words are daggers
By heaven, I swear
Bring wine and music
I dream'd a dream to-night
Farewell, my noble brother
Mercy, my liege
What say the citizens
The crown sits ill upon
""".splitlines()

SCENES = [
    "KING RICHARD III:\nWhere is the duke?\n\nCATESBY:\n",
    "JULIET:\nWhat's in a name?\n\nROMEO:\n",
    "First Citizen:\nSpeak, friend.\n\nSecond Citizen:\n",
    "PETRUCHIO:\nCome, Kate, sit down.\n\nKATHARINA:\n",
    "PROSPERO:\nMy brave spirit!\n\nARIEL:\n",
    "LEONTES:\nToo hot, too hot!\n\nHERMIONE:\n",
    "MENENIUS:\nHear me, people; peace!\n\nAll:\n",
    "Nurse:\nMadam, your mother craves a word with you.\n\nROMEO:\n",
]

# Row number -> settings of that row alone.
SETTINGS = {
    3: {"temperature": 0},
    10: {"temperature": 1.1, "seed": 11},
    17: {"seed": 2024},
    24: {"max_new_tokens": 8},
    31: {"temperature": 0.5, "top_p": 0.9, "seed": 5},
    38: {"top_k": 20},
    45: {"max_new_tokens": 160},
    52: {"min_p": 0.1, "temperature": 1.3},
    59: {"repetition_penalty": 1.2, "temperature": 0},
    66: {"stop": ["\n\n"]},
    73: {"temperature": 0, "max_new_tokens": 1},
    80: {"seed": 7, "temperature": 0.9, "max_new_tokens": 48},
}


def prompts() -> list[str]:
    bare = [f"{speaker}:\n" for speaker in SPEAKERS]
    begun = [f"{SPEAKERS[5 * i % len(SPEAKERS)]}:\n{opening}" for i, opening in enumerate(OPENINGS)]
    return [
        *bare,
        *begun,
        *OPENINGS[:23],
        *SCENES,
        "Enter",
        "O",
        "Once more unto the sea, my friends,\n",
    ]


def main() -> None:
    rows = [
        {"id": f"row-{i:03}", "prompt": prompt} | SETTINGS.get(i, {})
        for i, prompt in enumerate(prompts())
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    Path(sys.argv[1]).write_text(text)


if __name__ == "__main__":
    main()
