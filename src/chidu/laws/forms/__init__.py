"""The laws' shapes, one small file each; `FORMS` names them."""

from chidu.laws.forms.chinchilla import Chinchilla
from chidu.laws.forms.coupled import Coupled
from chidu.laws.forms.form import Form
from chidu.laws.forms.frontier import Frontier
from chidu.laws.forms.kaplan import Kaplan
from chidu.laws.forms.moe import Moe
from chidu.laws.forms.overtraining import Overtraining
from chidu.laws.forms.repetition import Repetition
from chidu.laws.forms.shape import Shape
from chidu.laws.forms.tied import Tied

FORMS: dict[str, Form] = {
    form.key: form
    for form in (
        Chinchilla(),
        Tied(),
        Coupled(),
        Frontier(),
        Kaplan(),
        Overtraining(),
        Repetition(),
        Moe(),
        Shape(),
    )
}

__all__ = [
    "FORMS",
    "Chinchilla",
    "Coupled",
    "Form",
    "Frontier",
    "Kaplan",
    "Moe",
    "Overtraining",
    "Repetition",
    "Shape",
    "Tied",
]
