"""One dial, the rest derived: from a width and a number of tokens to a whole TrainConfig, in numbered steps.

Width is the dial. Rates that are right for a small model stay right for a wider one (maximal update parametrisation,
2203.03466) and a deeper one (CompleteP, 2505.01618), so that the loss of the rungs differs by size and data alone; a
rate that is right at one size and wrong at another bends the law. The standard parametrisation is there to compare
with. The constants marked *measured* were chosen on sweeps that docs/LOG.md records.
"""

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from chidu.accounting import count_params
from chidu.config import Dtype, ModelConfig, TrainConfig
from chidu.errors import InputError

Parametrisation = Literal["mup", "standard"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a ladder's runs have in common, under a name."""

    name: str = "chidu-2"
    context: int = 32
    """Tokens a position looks back on. Runs of up to 1e13 FLOPs learn more per FLOP from short windows, and what they
    learn to do with long ones only later bends the law. Measured."""
    head_dim: int = 16
    """Channels of a head: constant over widths, so that the scores keep their scale (2203.03466, appendix B)."""
    aspect: int = 32
    """Width per layer: depth grows with width, as models of a family do (2001.08361, section 3.1: weak effect)."""
    least_layers: int = 3
    """Depth of the narrow models: with fewer layers they hardly use their context. Measured."""
    base_width: int = 32
    """Width at which `hidden_rate` was measured and the transfer starts."""
    hidden_rate: float = 0.0034
    """Peak rate of the block matrices at the base width. Measured."""
    embedding_rate: float = 0.025
    """Peak rate of embedding and norms at every width. Measured."""
    weight_decay: float = 0.1
    """Of the block matrices at the base width. From AdamW's time scale (2505.13738) it would be ten times as much at
    20 tokens per parameter, which was worse (docs/LOG.md)."""
    reference_ratio: float = 7.0
    """Tokens per parameter at which batch and warm-up are derived, for all budgets of a width alike: so they share a
    trunk. A batch that is small for a long run costs steps, not loss; one that is large for a short run costs both, and
    is noisier. Measured. 0 takes each run's own tokens: what sizes have in common that are compared at equal tokens."""
    warmup_fraction: float = 0.05
    """Of the reference tokens."""
    decay_fraction: float = 0.3
    batch_factor: float = 0.29
    """Batch in tokens = batch_factor * reference tokens ** batch_power: half of 2503.04715, eq. 1, which was fitted
    from 4e9 to 1e11 tokens; below 1e7 a half and a quarter of it were better. Measured."""
    batch_power: float = 0.571
    parametrisation: Parametrisation = "mup"
    """How initial sizes, rates and scales depend on the shape: so that the best rates do not (`mup`); or not at all,
    one rate for everything (`standard`, as in GPT-2 and nanoGPT), to compare with."""
    base_layers: int = 3
    """Depth at which the rates were measured; 0 leaves depth out, as chidu-1 did."""
    base_eps: float = 1e-10
    """AdamW's epsilon at the base width and depth."""
    standard_rate: float = 0.007
    """Peak rate of the standard parametrisation, best at the base width and depth. Measured."""
    micro_tokens: int = 2048
    """Most tokens of a micro-batch; larger batches are accumulated. Measured: fits a core's cache."""
    dtype: Dtype = "float32"

    def __post_init__(self) -> None:
        """Check the parametrisation.

        Raises:
            InputError: there is no such one.
        """
        if self.parametrisation not in get_args(Parametrisation):
            words = " or ".join(get_args(Parametrisation))
            raise InputError(f"the parametrisation is {words}, not {self.parametrisation!r}")

    def model(self, width: int, vocab_size: int, layers: int | None = None) -> ModelConfig:
        """Derive the model of a width, one of `widths`; `layers` gives it another depth than the recipe's, for checks.

        1. Depth from width: width / aspect, at least `least_layers`.
        2. Heads of (about) constant size.
        3. Feed-forward 8/3 of the width, so that SwiGLU's three matrices weigh as much as two of 4x (2002.05202).
        4. Logits scaled by base width / width (2203.03466, table 8), what blocks add to the stream by base depth /
           depth (2505.01618, table 1, alpha = 1).
        """
        heads = self._heads(width)
        depth = layers or max(self.least_layers, math.floor(width / self.aspect + 0.5))
        mup = self.parametrisation == "mup"
        return ModelConfig(
            vocab_size=vocab_size,
            d_model=width,
            n_layer=depth,
            n_head=heads,
            n_kv_head=heads,
            d_ff=8 * math.ceil(8 * width / 3 / 8),
            context=self.context,
            logit_scale=self.base_width / width if mup else 1.0,
            residual_scale=self._shallower(depth) if mup else 1.0,
            start="fan_in" if mup else "fixed",
        )

    def config(
        self, width: int, tokens: float, vocab_size: int, data: str, seed: int = 0, *, layers: int | None = None
    ) -> TrainConfig:
        """Derive a run from its width and (at least) its tokens.

        5. Batch from the width's reference tokens, in whole micro-batches.
        6. Rate of the block matrices: base rate * base width / width, at every depth (2203.03466; 2505.01618).
        7. Rate of embedding and norms: the same for all shapes (ibid.).
        8. Weight decay in proportion to the width, so that decay times rate is the same for all (2505.01618, table 1).
        9. Epsilon in proportion to the gradients (2505.01618, table 1).
        10. Warm-up as a part of the reference tokens, linear decay to zero as a part of the run (2405.18392).
        """
        model = self.model(width, vocab_size, layers)
        reference = self.reference_ratio * count_params(model).total or tokens
        sequences = max(1, round(self.batch_factor * reference**self.batch_power / self.context))
        accumulate = math.ceil(sequences * self.context / self.micro_tokens)
        batch = accumulate * math.ceil(sequences / accumulate) * self.context
        steps = max(1, math.ceil(tokens / batch))
        embedding_rate, hidden_rate = self.rates(width)
        narrower = self.base_width / width if self.parametrisation == "mup" and self.base_layers else 1.0
        deeper = self._shallower(model.n_layer) if self.parametrisation == "mup" else 1.0
        return TrainConfig(
            model=model,
            data=data,
            tokens=batch * steps,
            batch_tokens=batch,
            learning_rate=embedding_rate,
            hidden_learning_rate=hidden_rate,
            weight_decay=self.weight_decay / narrower,
            warmup_fraction=self.warmup_fraction,
            warmup_tokens=self._warmup(reference, batch, tokens) if self.reference_ratio else 0,
            decay_fraction=self.decay_fraction,
            accumulate=accumulate,
            dtype=self.dtype,
            seed=seed,
            eps=self.base_eps * narrower,
            hidden_eps=self.base_eps * narrower * deeper if deeper != 1 else 0.0,
        )

    def _warmup(self, reference: float, batch: int, tokens: float) -> int:
        """Tokens of the warm-up, whole batches of the reference's; 0, a part of the run, where the run is too short."""
        steps = max(1, round(self.warmup_fraction * reference / batch))
        return steps * batch if 4 * steps * batch <= tokens else 0

    def rates(self, width: int) -> tuple[float, float]:
        """Peak rates of embedding and norms, and of the block matrices."""
        if self.parametrisation == "standard":
            return self.standard_rate, self.standard_rate
        return self.embedding_rate, self.hidden_rate * self.base_width / width

    def scaled(self, factor: float) -> "Recipe":
        """The recipe at a multiple of its rates, all else the same."""
        return replace(
            self,
            embedding_rate=factor * self.embedding_rate,
            hidden_rate=factor * self.hidden_rate,
            standard_rate=factor * self.standard_rate,
        )

    def _shallower(self, layers: int) -> float:
        """Base depth over depth; 1 where depth is left out."""
        return self.base_layers / layers if self.base_layers else 1.0

    def batch_config(self, width: int, batch_tokens: int, vocab_size: int) -> TrainConfig:
        """A run of one step of about `batch_tokens`: what a measurement of speed trains."""
        config = self.config(width, 1.0, vocab_size, data="none")
        sequences = max(1, batch_tokens // self.context)
        accumulate = math.ceil(sequences * self.context / self.micro_tokens)
        tokens = accumulate * math.ceil(sequences / accumulate) * self.context
        return replace(config, tokens=tokens, batch_tokens=tokens, accumulate=accumulate)

    def _heads(self, width: int) -> int:
        """Heads that divide the width into even shares, as near to `head_dim` as can be."""
        possible = [heads for heads in range(1, width // 2 + 1) if width % (2 * heads) == 0]
        return min(possible, key=lambda heads: abs(math.log(width / heads / self.head_dim)))

    def widths(self, largest: int = 16_384) -> list[int]:
        """Widths that a ladder may use: steps of 4 to 16 up to 128, then a quarter of an octave in multiples of 32."""
        fine = [*range(16, 32, 4), *range(32, 64, 8), *range(64, 129, 16)]
        coarse = [32 * round(128 * 2 ** (i / 4) / 32) for i in range(1, 4 * int(math.log2(largest / 128)) + 1)]
        return [*fine, *coarse]

    def params(self, width: int, vocab_size: int) -> int:
        """Parameters of a width, tied head counted once."""
        return count_params(self.model(width, vocab_size)).total

    def nearest_width(self, params: float, vocab_size: int) -> int:
        """The width whose parameters are nearest to `params` on a log scale."""
        return min(self.widths(), key=lambda width: abs(math.log(self.params(width, vocab_size) / params)))

    def to_json(self) -> dict[str, Any]:
        """Plain values, every field."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Recipe":
        """Read what `to_json` wrote.

        Raises:
            InputError: the plan was made by another version, whose rules were others.
            TypeError: it is not a recipe.
        """
        if set(value) != {field.name for field in fields(cls)}:
            name = str(value.get("name", ""))
            if not name or name.startswith(cls.name):
                raise TypeError("its recipe has other fields")
            raise InputError(f"the plan was made by the recipe {name}, whose rules this version lacks; plan again")
        return cls(**value)


def recipe_for(device: str, parametrisation: Parametrisation = "mup") -> Recipe:
    """The recipe on `cpu` or `cuda`: a GPU's ladders are large enough for a longer context and bfloat16."""
    recipe = Recipe()
    if device == "cuda":
        recipe = Recipe(name=f"{recipe.name}-gpu", context=512, micro_tokens=65_536, dtype="bfloat16")
    if parametrisation == "mup":
        return recipe
    return replace(recipe, name=f"{recipe.name}-{parametrisation}", parametrisation=parametrisation)
