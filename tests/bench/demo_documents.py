"""Documents for the demo of the loop, made up for this project: each section tells some facts about one place.

A fact is a sentence, two ways to ask for it in other words, and what the right answer has to contain.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_FIRST = ("Alder", "Brack", "Corn", "Dun", "Elm", "Fal", "Gar", "Hazel", "Iver", "Kel", "Lin", "Mar", "Nor", "Oak",
          "Pen", "Quill", "Rush", "Sal", "Thorn", "Under", "Vel", "Wick", "Yar", "Zel")  # fmt: skip
_LAST = ("bury", "combe", "dale", "ford", "gate", "ham", "mouth", "ness", "port", "stow", "ton", "wick")
_FIRST_PT = ("Alva", "Boa", "Cabe", "Dou", "Ermi", "Fonte", "Gal", "Lour", "Monte", "Ouri", "Pena", "Quin", "Riba",
             "Santa", "Torre", "Vale", "Xavi")  # fmt: skip
_LAST_PT = ("rinha", "verde", "lhos", "dinho", "nova", "mar", "ceira", "luz", "rosa", "tela")

_FERRY = """
The {name} ferry leaves at {time} on weekdays.
When does the {name} ferry depart from Monday to Friday?
At what time can I catch the {name} ferry on a working day?
{time}

A single crossing with the {name} ferry costs {price} for an adult.
How much is a one-way ticket for the {name} ferry?
What does an adult pay to cross with the {name} ferry?
{price}

Children under {age} travel free of charge on the {name} ferry.
Up to which age do children pay nothing on the {name} ferry?
Who travels for nothing on the {name} ferry?
{age}

The crossing with the {name} ferry takes {minutes} minutes when the sea is calm.
How long is the journey with the {name} ferry?
How many minutes does the {name} ferry need in good weather?
{minutes} minutes

There is room for {count} cars on the lower deck of the {name} ferry.
How many cars does the {name} ferry carry?
What is the capacity for vehicles of the {name} ferry?
{count}

Bicycles on the {name} ferry are kept in the {place}.
Where do I put my bicycle on the {name} ferry?
Where are bikes stored on board the {name} ferry?
{place}

Captain {person} has been in command of the {name} ferry since {year}.
Who commands the {name} ferry?
Since when has the {name} ferry had its captain?
{person}
"""
_BRANCH = """
The {name} library opens at {time} from Tuesday to Saturday.
When can I enter the {name} library in the morning?
At what hour does the {name} library start its day?
{time}

Readers of the {name} library may take home {count} books at once.
How many books can I borrow from the {name} library?
What is the limit for loans at the {name} library?
{count}

A late return at the {name} library costs {price} for each week.
What fine does the {name} library charge for overdue books?
How much do I pay the {name} library if I am late?
{price}

The reading room of the {name} library has {seats} seats.
How many people can sit in the {name} library?
How large is the room for readers at the {name} library?
{seats}

The head of the {name} library is {person}, who came in {year}.
Who runs the {name} library?
Who is in charge of the {name} library?
{person}

Lost cards of the {name} library are replaced at the {place} within a day.
Where do I get a new card of the {name} library?
I lost my card for the {name} library: where do I go?
{place}

Meeting rooms at the {name} library are booked {age} days ahead at the latest.
How early must I reserve a meeting room at the {name} library?
How many days before do rooms of the {name} library have to be booked?
{age} days
"""
_WORKS = """
The {name} press runs at {minutes} strokes a minute.
How fast is the {name} press?
Which speed does the {name} press reach?
{minutes}

The oil of the {name} press has to be changed every {count} hours of work.
How often does the {name} press need new oil?
After how many hours is the oil of the {name} press replaced?
{count} hours

The emergency switch of the {name} press sits on the {place}.
Where do I stop the {name} press in an emergency?
Where is the emergency switch of the {name} press?
{place}

Spare belts for the {name} press are ordered from {person} in the stores.
Who supplies new belts for the {name} press?
Whom do I ask for a belt for the {name} press?
{person}

A full service of the {name} press costs {price} and is due in spring.
What do we pay for servicing the {name} press?
How expensive is a full service of the {name} press?
{price}

The {name} press was built in {year} and moved here later.
How old is the {name} press?
In which year was the {name} press made?
{year}

Up to {seats} sheets may lie in the tray of the {name} press.
How many sheets fit into the tray of the {name} press?
What does the tray of the {name} press hold at most?
{seats}
"""
_MUSEUM = """
O museu {name} abre às {time} de quarta a domingo.
A que horas começa a visita no museu {name}?
Quando posso entrar no museu {name}?
{time}

O bilhete de adulto do museu {name} custa {price}.
Quanto paga um adulto no museu {name}?
Qual é o preço da entrada no museu {name}?
{price}

Crianças com menos de {age} anos não pagam no museu {name}.
Até que idade a entrada no museu {name} é grátis?
Quem entra de graça no museu {name}?
{age} anos

A coleção do museu {name} reúne {count} peças de cerâmica.
Quantos objetos tem o museu {name}?
Qual é o tamanho do acervo do museu {name}?
{count}

A visita guiada do museu {name} dura {minutes} minutos.
Quanto tempo leva a visita com guia no museu {name}?
Qual é a duração da visita guiada do museu {name}?
{minutes} minutos

O museu {name} é dirigido por {person} desde {year}.
Quem dirige o museu {name}?
Quem está à frente do museu {name}?
{person}

As mochilas no museu {name} ficam guardadas no {lugar}.
Onde deixo a mochila no museu {name}?
Onde se guardam as bolsas no museu {name}?
{lugar}
"""
_KINDS = (
    ("ferries", "The {name} ferry", _FERRY, False),
    ("libraries", "The {name} library", _BRANCH, False),
    ("machines", "The {name} press", _WORKS, False),
    ("museus", "O museu {name}", _MUSEUM, True),
)
_PLACES = ("bow locker", "blue shed", "left side panel", "north counter", "stern rack", "yellow box", "front office",
           "tool cabinet", "east corridor", "ticket desk")  # fmt: skip
_LUGARES = ("armário azul", "balcão da entrada", "corredor norte", "depósito do pátio", "quiosque do jardim")
_PEOPLE = ("Ines Varga", "Tom Okafor", "Lena Brandt", "Rui Salgado", "Mira Dahl", "Paul Etxe", "Ada Quist",
           "Nuno Pires", "Eva Lund", "Karim Said", "Olga Renn", "Beatriz Melo")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a section of a document, the sentence that answers it, and what an answer has to contain."""

    document: str
    section: str
    question: str
    sentence: str
    key: str


@dataclass(frozen=True, slots=True)
class Made:
    """Documents by name, and the questions that can be asked about them."""

    documents: dict[str, str]
    questions: Sequence[Asked]


def make(sections: int, *, seed: int, prefix: str = "") -> Made:
    """So many sections, dealt to a document for each kind of place."""
    draw = random.Random(seed)
    texts: dict[str, list[str]] = {}
    questions = []
    taken: set[str] = set()
    for n in range(sections):
        kind, heading, facts, portuguese = _KINDS[n % len(_KINDS)]
        document = f"{prefix}{kind}.md"
        values = _values(draw, portuguese, taken)
        title = heading.format(**values)
        parsed = [fact.splitlines() for fact in facts.strip().split("\n\n")]
        told = []
        for sentence, *asked, key in draw.sample(parsed, len(parsed)):
            told.append(sentence.format(**values))
            question = draw.choice(asked).format(**values)
            questions.append(Asked(document, title, question, told[-1], key.format(**values)))
        texts.setdefault(document, [f"# {kind.capitalize()}\n"]).append(f"## {title}\n\n{' '.join(told)}\n")
    return Made({name: "\n".join(parts) for name, parts in texts.items()}, questions)


def _values(draw: random.Random, portuguese: bool, taken: set[str]) -> dict[str, Any]:
    first, last = (_FIRST_PT, _LAST_PT) if portuguese else (_FIRST, _LAST)
    while (name := f"{draw.choice(first)}{draw.choice(last)}") in taken:
        pass
    taken.add(name)
    cents = f"{draw.randrange(2, 90)}{',' if portuguese else '.'}{draw.choice(('20', '40', '50', '80'))}"
    return {
        "name": name,
        "time": f"{draw.randrange(6, 12)}{'h' if portuguese else ':'}{draw.choice(('05', '15', '20', '40', '50'))}",
        "price": f"R$ {cents}" if portuguese else f"{cents} euros",
        "age": draw.randrange(4, 14),
        "minutes": draw.randrange(20, 95),
        "count": draw.randrange(110, 990),
        "seats": draw.randrange(31, 99),
        "year": draw.randrange(1971, 2021),
        "person": draw.choice(_PEOPLE),
        "place": draw.choice(_PLACES),
        "lugar": draw.choice(_LUGARES),
    }
