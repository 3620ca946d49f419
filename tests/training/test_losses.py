"""Losses of related papers: against slow loops in float64, their gradients, and the claim of each paper."""

import math

import pytest
import torch
from literal import dot, softmax_of, units
from torch.nn.functional import normalize

from exmcr.common.errors import ConfigError
from exmcr.training import loop, losses
from exmcr.training.objectives import exmcr_loss, infonce
from exmcr.training.projectors import Projector


def fit(parameters, loss, steps=150, lr=0.05):
    optimizer = torch.optim.Adam(parameters, lr=lr)
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()


# --- against loops ---


def test_symile_equals_loops():
    a, b, c = (units(5, 4, seed) for seed in range(3))
    tau, total = 0.3, 0.0
    for anchor, one, other in ((a, b, c), (b, a, c), (c, a, b)):
        for i in range(5):
            row = []
            for j in range(5):
                u, v = (one[i], other[i]) if i == j else (one[(j + 1) % 5], other[(j + 2) % 5])
                row.append(
                    sum(float(p) * float(q) * float(r) for p, q, r in zip(anchor[i], u, v))
                    * math.sqrt(4)
                )
            total -= math.log(softmax_of(row, tau)[i])
    assert float(losses.symile(a, b, c, tau)) == pytest.approx(total / 15, rel=1e-10)


def test_cwcl_equals_loops():
    p, q = units(6, 4, 0), units(6, 4, 1)
    tau, there, back = 0.2, 0.0, 0.0
    for i in range(6):
        weights = [dot(q[i], q[j]) / 2 + 0.5 for j in range(6)]
        share = softmax_of([dot(p[i], q[j]) for j in range(6)], tau)
        there -= sum(w * math.log(s) for w, s in zip(weights, share)) / sum(weights)
        back -= math.log(softmax_of([dot(p[j], q[i]) for j in range(6)], tau)[i])
    assert float(losses.cwcl(p, q, tau)) == pytest.approx((there + back) / 12, rel=1e-10)


@pytest.mark.parametrize("other", [None, 5])
def test_uniformity_and_alignment_equal_loops(other):
    a = units(6, 3, 4)
    b = a if other is None else units(6, 3, other)
    squares = {
        (i, j): sum((float(p) - float(q)) ** 2 for p, q in zip(a[i], b[j]))
        for i in range(6)
        for j in range(6)
    }
    literal = math.log(sum(math.exp(-2 * s) for (i, j), s in squares.items() if i != j) / 30)
    assert float(losses.uniformity(a, None if other is None else b)) == pytest.approx(
        literal, rel=1e-10
    )
    assert float(losses.alignment(a, b)) == pytest.approx(
        sum(squares[i, i] for i in range(6)) / 6, abs=1e-12
    )


def test_geodesic_mixup_equals_loops():
    a, b, tau, n = units(5, 4, 0), units(5, 4, 1), 0.2, 5
    mixed = []
    for j in range(n):
        angle, share = (
            math.acos(dot(a[j], b[j])),
            (j + 0.5) / n,
        )  # the quantiles of Beta(1, 1), which is uniform
        mixed.append(
            [
                (math.sin(share * angle) * float(p) + math.sin((1 - share) * angle) * float(q))
                / math.sin(angle)
                for p, q in zip(a[j], b[j])
            ]
        )
    total = 0.0
    for anchor in (a, b):
        for i in range(n):
            total -= math.log(
                softmax_of(
                    [dot(a[i], b[i]) if i == j else dot(anchor[i], mixed[j]) for j in range(n)], tau
                )[i]
            )
    assert float(losses.geodesic_mixup(a, b, tau)) == pytest.approx(total / (2 * n), rel=1e-8)


def test_off_diagonal_equals_loops():
    old, new = units(5, 4, 0) @ units(5, 4, 0).T, units(5, 4, 1) @ units(5, 4, 2).T
    old[2, 4] = old[3, 1] = 1.5  # two rows, and two columns, that the old matrix gets wrong
    tau, total = 0.5, 0.0
    for before, after in ((old, new), (old.T, new.T)):
        for i in range(5):
            if max(range(5), key=lambda j: float(before[i, j])) != i:
                continue
            p, q = (
                softmax_of([float(v) for v in before[i]], tau),
                softmax_of([float(v) for v in after[i]], tau),
            )
            total += sum(u * math.log(u / v) for u, v in zip(p, q))
    assert float(losses.off_diagonal(new, old, tau)) == pytest.approx(total / 10, rel=1e-10)
    assert float(losses.off_diagonal(old, old, tau)) == pytest.approx(0, abs=1e-12)


# --- gradients ---

PLAIN = {
    "symile": lambda a, b, c: losses.symile(normalize(a), normalize(b), normalize(c), 0.2),
    "cwcl": lambda a, b, c: (
        losses.cwcl(normalize(a), normalize(b.detach()), 0.2) + 0 * b.sum() + 0 * c.sum()
    ),
    "alignment": lambda a, b, c: losses.alignment(normalize(a), normalize(b)) + 0 * c.sum(),
    "uniformity": lambda a, b, c: (
        losses.uniformity(normalize(a)) + losses.uniformity(normalize(b), normalize(c))
    ),
    "geodesic_mixup": lambda a, b, c: (
        losses.geodesic_mixup(normalize(a), normalize(b), 0.2) + 0 * c.sum()
    ),
    "off_diagonal": lambda a, b, c: (
        losses.off_diagonal(normalize(a) @ normalize(b).T, torch.eye(4, dtype=torch.float64), 0.5)
        + 0 * c.sum()
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_are_those_of_the_values(name):
    vectors = [units(4, 3, seed).requires_grad_() for seed in range(3)]
    if name == "cwcl":  # its frozen side has no gradient by definition
        vectors[1:] = [v.detach() for v in vectors[1:]]
    assert torch.autograd.gradcheck(PLAIN[name], vectors)


def test_the_old_matrix_gets_no_gradient():
    old = units(4, 4, 0).requires_grad_()
    losses.off_diagonal(units(4, 4, 1).requires_grad_(), old, 0.5).backward()
    assert old.grad is None


# --- claims ---


def test_symile_sees_a_dependence_of_third_order_that_pairs_do_not():
    """c = a xor b: any two are independent, any two give the third (the paper's section 3 example, one bit)."""
    margins = {}
    for name in ("symile", "pairs"):
        draw = torch.Generator().manual_seed(0)
        tables = [
            torch.randn(2, 8, generator=draw, dtype=torch.float64, requires_grad=True)
            for _ in range(3)
        ]

        def loss(step):
            bits = torch.randint(2, (2, 64), generator=draw)
            a, b, c = (
                normalize(t, dim=1)[v]
                for t, v in zip(tables, (bits[0], bits[1], bits[0] ^ bits[1]))
            )
            if name == "symile":
                return losses.symile(a, b, c, 0.2)
            return infonce(a, b, 0.2) + infonce(a, c, 0.2) + infonce(b, c, 0.2)

        fit(tables, loss, steps=60)
        a, b, c = (normalize(t.detach(), dim=1) for t in tables)
        if name == "symile":
            answers = [
                [float((a[i] * b[j] * c[k]).sum()) for k in (0, 1)] for i in (0, 1) for j in (0, 1)
            ]
        else:
            answers = [
                [float(a[i] @ c[k] + b[j] @ c[k]) for k in (0, 1)] for i in (0, 1) for j in (0, 1)
            ]
        right = [row[k] - row[1 - k] for row, k in zip(answers, (0, 1, 1, 0))]
        margins[name] = sum(margin > 0 for margin in right), min(right)
    assert margins["symile"][0] == 4 and margins["symile"][1] > 0.1
    assert margins["pairs"][0] < 4


def test_weights_of_soft_similarity_carry_over_to_unseen_items():
    """Two classes in the frozen space; the offset of each item from its center is unpredictable from the other modality.
    InfoNCE memorizes it; counting the whole class as partly positive generalizes (the claim of CWCL)."""
    labels = torch.arange(2).repeat_interleave(30)
    unseen = labels.repeat(20)

    def one_way_nce(p, q, tau):
        return torch.nn.functional.cross_entropy(p @ q.T / tau, torch.arange(len(p)))

    accuracy = {"weighted": [], "infonce": []}
    for seed in range(2):
        center = units(1, 16, seed)
        q = normalize(torch.cat([center, -center])[labels] + 0.5 * units(60, 16, 1 + seed), dim=1)
        draw = torch.Generator().manual_seed(seed + 50)
        means = 0.25 * torch.randn(2, 64, generator=draw, dtype=torch.float64)
        x, x_unseen = (
            normalize(
                means[k] + torch.randn(len(k), 64, generator=draw, dtype=torch.float64), dim=1
            )
            for k in (labels, unseen)
        )
        for name, loss in (("weighted", losses.weighted_nce), ("infonce", one_way_nce)):
            matrix = (0.1 * units(64, 16, 4)).requires_grad_()
            fit([matrix], lambda step: loss(normalize(x @ matrix, dim=1), q, 0.2), lr=0.03)
            answer = ((x_unseen @ matrix.detach()) @ center[0] < 0).long()
            accuracy[name].append(float((answer == unseen).double().mean()))
    assert all(w > i + 0.02 for w, i in zip(accuracy["weighted"], accuracy["infonce"])), accuracy


def test_alignment_and_uniformity_close_the_contrastive_gap():
    gap, spread = {}, {}
    for name in ("clip", "cuaxu"):
        # Two narrow cones, as two untrained encoders give.
        a, b = (
            (0.2 * units(64, 32, seed) + units(1, 32, seed + 10)).requires_grad_()
            for seed in (0, 1)
        )

        def loss(step):
            u, v = normalize(a, dim=1), normalize(b, dim=1)
            total = infonce(u, v, 0.01)
            if name == "cuaxu":
                total = (
                    total
                    + losses.alignment(u, v)
                    + losses.uniformity(u, v)
                    + (losses.uniformity(u) + losses.uniformity(v)) / 2
                )
            return total

        fit([a, b], loss, steps=250, lr=0.05)
        u, v = normalize(a.detach(), dim=1), normalize(b.detach(), dim=1)
        gap[name] = float((u.mean(0) - v.mean(0)).norm())
        spread[name] = float(losses.uniformity(torch.cat([u, v])))
    assert gap["cuaxu"] < 0.1 * gap["clip"], gap
    assert spread["cuaxu"] < spread["clip"]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_geodesic_mixtures_lie_on_the_arc(share):
    a, b = units(20, 5, 0), units(20, 5, 1)
    angle = (a * b).sum(1).acos()
    mixed = losses.slerp(a, b, share)
    assert torch.allclose(mixed.norm(dim=1), torch.ones(20, dtype=torch.float64))
    assert torch.allclose((mixed * a).sum(1).clamp(-1, 1).acos(), (1 - share) * angle, atol=1e-6)
    assert torch.allclose((mixed * b).sum(1).clamp(-1, 1).acos(), share * angle, atol=1e-6)


def test_mixtures_of_equal_vectors_are_those_vectors_and_finite_in_gradient():
    a = units(4, 5, 0).requires_grad_()
    mixed = losses.slerp(a, a.detach(), 0.4)
    assert torch.allclose(mixed, a, atol=1e-6)
    mixed.sum().backward()
    assert torch.isfinite(a.grad).all()


def test_geodesic_negatives_are_harder_than_plain_ones_across_a_gap():
    center = units(2, 8, 5)
    a, b = (
        normalize(center[0] + 0.5 * units(50, 8, 0), dim=1),
        normalize(-center[0] + 0.5 * units(50, 8, 1), dim=1),
    )
    assert losses.geodesic_mixup(a, b, 0.1) > 2 * infonce(a, b, 0.1)


def test_mod_x_keeps_old_structure_while_new_pairs_are_learned():
    """Fine-tune an aligned pair of linear encoders on new pairs, and compare how far the similarities of old,
    non-matching items move."""
    d = 12
    old_items, new_items = units(60, d, 0), units(24, d, 1)
    turn = torch.linalg.qr(units(d, d, 2))[0]
    before = old_items @ old_items.T
    off = ~torch.eye(60, dtype=torch.bool)
    moved, learned = {}, {}
    for name, weight in (("plain", 0.0), ("mod-x", 20.0)):
        left = torch.eye(d, dtype=torch.float64).requires_grad_()
        right = torch.eye(d, dtype=torch.float64).requires_grad_()
        target = normalize(
            new_items @ (0.5 * turn + torch.eye(d)), dim=1
        )  # new pairs match after a partial rotation

        def loss(step):
            u, v = normalize(new_items @ left, dim=1), normalize(target @ right, dim=1)
            old = new_items @ target.T
            return infonce(u, v, 0.05) + weight * losses.off_diagonal(u @ v.T, old, 0.2)

        fit([left, right], loss, steps=120, lr=0.02)
        u, v = (
            normalize(old_items @ left.detach(), dim=1),
            normalize(old_items @ right.detach(), dim=1),
        )
        moved[name] = float(((u @ v.T) - before)[off].square().mean().sqrt())
        learned[name] = float(
            infonce(
                normalize(new_items @ left.detach(), dim=1),
                normalize(target @ right.detach(), dim=1),
                0.05,
            )
        )
    assert moved["mod-x"] < 0.6 * moved["plain"], moved
    assert learned["mod-x"] < float(infonce(new_items, target, 0.05)), learned


# --- in place of the Ex-MCR objective ---

SETTINGS = {
    "steps": 12,
    "batch": 32,
    "lr": 1e-3,
    "weight_decay": 0.0,
    "noise": 0.0,
    "lambda": 0.1,
    "tau2": 0.1,
    "terms": ["x-o", "o-o", "x-y", "o-y"],
    "overlap_through_fl": False,
}


def quadruples(n=96, d=8, base=6):
    return {
        name: units(n, size, seed).float()
        for seed, (name, size) in enumerate(
            {"x_leaf": d, "o_leaf": d, "o_base": base, "y_base": base}.items()
        )
    }


OTHERS = {name: loss.function for name, loss in losses.LOSSES.items() if name != "exmcr"}


@pytest.mark.parametrize("name", OTHERS)
def test_every_loss_trains_and_reports_its_three_terms(name):
    torch.manual_seed(0)
    projector = Projector(8, 6, 16)
    history = loop.train(
        projector,
        quadruples(),
        SETTINGS,
        0,
        loss=OTHERS[name],
        progress=False,
        device=torch.device("cpu"),
    )
    assert {"intra", "inter", "total"} <= set(history[0])
    for record in history:
        assert record["total"] == pytest.approx(record["inter"] + 0.1 * record["intra"], rel=1e-4)
    assert history[-1]["total"] < history[0]["total"]


@pytest.mark.parametrize("name", ["symile", "align+uniform", "geodesic", "mod-x", "ct"])
def test_at_weight_0_a_loss_is_that_of_ex_mcr(name):
    torch.manual_seed(0)
    projector = Projector(8, 6, 16)
    batch = quadruples(20)
    assert torch.allclose(
        OTHERS[name](projector, batch, SETTINGS, weight=0.0)["total"],
        exmcr_loss(projector, batch, SETTINGS)["total"],
    )


@pytest.mark.parametrize("name", ["cwcl", "align+uniform", "geodesic", "mod-x", "ct", "sdm"])
def test_a_term_that_is_left_out_has_no_effect(name):
    torch.manual_seed(0)
    projector, batch = Projector(8, 6, 16), quadruples(20)
    settings = SETTINGS | {"terms": ["x-o", "o-o"]}
    one, other = (
        OTHERS[name](projector, batch | {"y_base": units(20, 6, seed).float()}, settings)["total"]
        for seed in (8, 9)
    )
    assert one == other != OTHERS[name](projector, batch, SETTINGS)["total"]
    assert torch.isfinite(
        OTHERS[name](projector, batch | {"y_base": torch.full((20, 6), float("nan"))}, settings)[
            "total"
        ]
    )


def test_too_few_rows_are_errors():
    with pytest.raises(ValueError, match="at least 3"):
        losses.symile(units(2, 3, 0), units(2, 3, 1), units(2, 3, 2), 0.1)
    with pytest.raises(ValueError, match="at least 2"):
        losses.uniformity(units(1, 3, 0))


def test_losses_are_chosen_by_name():
    assert losses.loss_named("exmcr") is exmcr_loss
    assert set(OTHERS) == {
        *("cwcl", "align+uniform", "symile", "geodesic", "mod-x"),
        *("ct", "sdm", "1-to-k"),
    }
    with pytest.raises(ConfigError, match="unknown loss 'infonse'; known: exmcr, cwcl, "):
        losses.loss_named("infonse")
