"""The laws' shapes, one small file each; `FORMS` names them."""

from chidu.laws.forms.chinchilla import Chinchilla
from chidu.laws.forms.coupled import Coupled
from chidu.laws.forms.form import Form
from chidu.laws.forms.frontier import Frontier
from chidu.laws.forms.tied import Tied

FORMS: dict[str, Form] = {form.key: form for form in (Chinchilla(), Tied(), Coupled(), Frontier())}

__all__ = ["FORMS", "Chinchilla", "Coupled", "Form", "Frontier", "Tied"]
