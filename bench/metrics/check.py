#!/usr/bin/env python3
"""Compares the figures of package eval with independent implementations.

    go run ./bench/metrics | python3 bench/metrics/check.py

Needs numpy, scipy, scikit-learn, krippendorff; pingouin and pandas for ICC.
Differences are relative where a figure is above 1.
"""
import json
import sys
from collections import defaultdict
from itertools import product

import krippendorff
import numpy as np
from scipy import optimize, special, stats
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, cohen_kappa_score, log_loss

try:
    import pandas as pd
    import pingouin
except ImportError:
    pingouin = None

worst = defaultdict(float)
count = defaultdict(int)
BOUND = 1e-9


def same(name, got, want):
    got, want = np.asarray(got, float), np.asarray(want, float)
    assert got.shape == want.shape, (name, got.shape, want.shape)
    assert (np.isnan(got) == np.isnan(want)).all(), (name, got, want)
    d = np.nanmax(np.abs(got - want) / np.maximum(1, np.abs(want))) if got.size else 0.0
    worst[name] = max(worst[name], float(d))
    count[name] += 1


def sigmoid(z):
    return special.expit(np.asarray(z, float))


def bins_of(f, y, k):
    """Equal mass, ties sharing their mean outcome: stated with ECE."""
    order = np.lexsort((y, f))
    f, y = np.asarray(f)[order], np.asarray(y, float)[order]
    shared, square = y.copy(), y * y
    for v in np.unique(f):
        m = f == v
        shared[m], square[m] = y[m].mean(), (y[m] ** 2).mean()
    n = len(f)
    for b in range(k):
        s = slice(b * n // k, (b + 1) * n // k)
        g, h = f[s] - f[s].mean(), shared[s] - shared[s].mean()
        yield len(g), f[s].mean(), shared[s].mean(), square[s].mean(), np.mean(g * g) - 2 * np.mean(g * h)


def credit(v, others):
    c = np.bincount([o for o in others if o > 0], minlength=4)
    best = c.max()
    return (c[v] == best) / (c == best).sum()


for line in sys.stdin:
    d = json.loads(line)
    o = d["out"]
    z, hard, soft, p = (np.array(d[k]) for k in ("z", "hard", "soft", "p"))
    n, labels = len(z), list(range(d["classes"]))
    same("Cohen's kappa: scikit-learn", o["kappa"], cohen_kappa_score(d["a"], d["b"], labels=labels))
    same("weighted kappa, linear: scikit-learn", o["linear"], cohen_kappa_score(d["a"], d["b"], labels=labels, weights="linear"))
    same("weighted kappa, quadratic: scikit-learn", o["quadratic"], cohen_kappa_score(d["a"], d["b"], labels=labels, weights="quadratic"))
    votes = np.array(d["votes"], float)
    reliability = np.where(votes == 0, np.nan, votes).T
    same("Krippendorff's alpha: krippendorff", o["alpha"], krippendorff.alpha(reliability_data=reliability, level_of_measurement="nominal"))
    same("log loss: scikit-learn", o["log_loss"], log_loss(hard, p))
    same("log loss, soft labels: formula", o["log_loss_soft"], np.mean(-soft * np.log(p) - (1 - soft) * np.log(1 - p)))
    same("Brier score: scikit-learn", o["brier"], brier_score_loss(hard, p))
    same("Spearman: scipy", o["spearman"], stats.spearmanr(z, d["length"]).statistic)

    conf, corr = np.array(d["confidence"]), np.array(d["correct"])
    bs = list(bins_of(conf, corr, 15))
    same("ECE: numpy", o["ece"], sum(m * abs(f - y) for m, f, y, *_ in bs) / n)
    total = square = 0.0
    for m, f, y, q, _ in bs:
        g, v = abs(f - y), max(0.0, q - y * y)
        s = np.sqrt(v / m)
        total += m * (2 * g - (stats.foldnorm.mean(g / s, scale=s) if s > 0 else g))
        square += m * (g * g - v / (m - 1))
    same("debiased ECE: scipy's folded normal", o["ece_debiased"], total / n)
    same("debiased squared error: numpy", o["squared"], square / n)

    b = o["murphy"]
    bs = list(bins_of(p, hard, 15))
    same("Murphy: Brier", b["brier"], brier_score_loss(hard, p))
    same("Murphy: reliability", b["reliability"], sum(m * (f - y) ** 2 for m, f, y, *_ in bs) / n)
    same("Murphy: resolution", b["resolution"], sum(m * (y - hard.mean()) ** 2 for m, f, y, *_ in bs) / n)
    same("Murphy: uncertainty", b["uncertainty"], hard.mean() * (1 - hard.mean()))
    same("Murphy: within the bins", b["within"], sum(m * w for m, *_, w in bs) / n)
    same("Murphy: the parts add up", b["reliability"] - b["resolution"] + b["uncertainty"] + b["within"], b["brier"])
    curve = list(bins_of(p, hard, 10))
    same("reliability curve: numpy", [[c["forecast"], c["outcome"]] for c in o["curve"]], [[f, y] for _, f, y, *_ in curve])
    k, m = d["positive"]["K"], d["positive"]["N"]
    ci = stats.binomtest(k, m).proportion_ci(method="wilson")
    same("Wilson's interval: scipy", o["wilson"], [ci.low, ci.high])

    def slope(y, x):
        bound = len(x) * np.log(len(x) + 1) / np.abs(x).sum()
        if np.sum(x * (0.5 - y)) >= 0:
            return 0
        if np.sum(x * (sigmoid(bound * x) - y)) <= 0:
            return bound
        return optimize.brentq(lambda beta: np.sum(x * (sigmoid(beta * x) - y)), 0, bound, xtol=1e-15, rtol=1e-14)

    same("temperature: scipy's root", o["slope"], slope(hard, z))
    same("temperature, soft labels: scipy's root", o["slope_soft"], slope(soft, z))
    double = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(np.r_[z, -z], np.r_[hard, 1 - hard])
    eps = 1 / (n + 2)
    same("isotonic, symmetrised: scikit-learn on doubled data", o["isotonic"], np.clip(double.predict(z), eps, 1 - eps))
    fold, prompt = np.array(d["fold"]), np.array(d["prompt"])
    crossed = np.array(o["crossed"])
    for f in np.unique(fold):
        test = fold == f
        assert not np.isin(prompt[test], prompt[~test]).any(), "a prompt in two parts"
        beta = slope(hard[~test], z[~test])
        same("cross-fitted temperature: scipy, by part", crossed[test], beta * z[test])

    r = o["prevalence"]
    (kp, np_), (k1, n1), (k0, n0) = ((d[x]["K"], d[x]["N"]) for x in ("positive", "sensitive", "specific"))
    se, sp, ap = k1 / n1, k0 / n0, kp / np_
    same("Rogan-Gladen: formula", r["estimate"], np.clip((ap + sp - 1) / (se + sp - 1), 0, 1))
    q = stats.norm.ppf(0.975)
    ap, se, sp = (kp + q * q / 2) / (np_ + q * q), (k1 + 1) / (n1 + 2), (k0 + 1) / (n0 + 2)
    t = (ap + sp - 1) / (se + sp - 1)
    v1, v0 = se * (1 - se) / (n1 + 2), sp * (1 - sp) / (n0 + 2)
    sd = np.sqrt(ap * (1 - ap) / (np_ + q * q) + v1 * t**2 + v0 * (1 - t) ** 2) / (se + sp - 1)
    shift = 2 * q * q * (t * v1 - (1 - t) * v0)
    same("Lang-Reiczigel: formula", r["ci"], np.clip([t + shift - q * sd, t + shift + q * sd], 0, 1))

    b_, c_ = d["discordant"]
    if b_ + c_:
        exact = stats.binomtest(b_, b_ + c_).pvalue
        at = stats.binom.pmf(b_, b_ + c_, 0.5)
        mid = 1 - at / 2 if b_ == c_ else 2 * stats.binom.cdf(min(b_, c_), b_ + c_, 0.5) - at
        same("McNemar, exact: scipy", o["mcnemar"][0], exact)
        same("McNemar, mid-p: scipy", o["mcnemar"][1], mid)

    x = np.array(d["ratings"])
    icc = o["icc"]
    got = [icc[key] for key in ("one", "agreement", "consistency", "one_mean", "agreement_mean", "consistency_mean")]
    if pingouin is not None:
        frame = pd.DataFrame([(i, j, x[i, j]) for i, j in product(range(x.shape[0]), range(x.shape[1]))], columns=["s", "r", "v"])
        want = pingouin.intraclass_corr(frame, targets="s", raters="r", ratings="v")["ICC"].to_numpy()
        same("ICC, six forms: pingouin", got, want)

    # Logistic regression: scikit-learn's tolerance is coarse, its minimum the same.
    X = np.c_[np.array(d["length"]) / 100, z]
    sk = LogisticRegression(C=100, fit_intercept=False, tol=1e-12, max_iter=10000, solver="newton-cg").fit(X, hard)
    fit = o["logistic"]
    same("logistic regression: scikit-learn", fit["Coef"], sk.coef_[0])
    beta = sk.coef_[0]
    mu = sigmoid(X @ beta)
    H = X.T @ (X * (mu * (1 - mu))[:, None]) + 0.01 * np.eye(2)
    scores = np.array([(X[prompt == g] * (mu - hard)[prompt == g, None]).sum(0) for g in np.unique(prompt)])
    V = np.linalg.solve(H, np.linalg.solve(H, scores.T @ scores).T)
    same("clustered sandwich: numpy", fit["SE"], np.sqrt(np.diag(V)))
    length = np.array(d["length"])
    sd = np.sqrt(np.mean(length**2))
    lb = o["length_bias"]

    def ridged(C, y, ridge):
        def grad(b):
            return C.T @ (sigmoid(C @ b) - y) + ridge * b

        def jac(b):
            s = sigmoid(C @ b)
            return C.T @ (C * (s * (1 - s))[:, None]) + ridge * np.eye(C.shape[1])

        return optimize.root(grad, np.zeros(C.shape[1]), jac=jac, tol=1e-14).x

    def first(columns, y):
        return ridged(columns, y, 0.01)[0]

    same("length bias: SD", lb["sd"], sd)
    same("length bias: judge, by scipy's root", lb["judge"]["estimate"], first(np.c_[length / sd], hard))
    same("length bias: gold, by scipy's root", lb["gold"]["estimate"], first(np.c_[length / sd], soft))
    same("length bias: beyond the gold, by scipy's root", lb["beyond"]["estimate"], first(np.c_[length / sd, 2 * soft - 1], hard))

    C = np.zeros((n, 15))  # authors, then authors in the two named subsets
    for i, (a, b, sub) in enumerate(d["games"]):
        C[i, a] += 1
        C[i, b] -= 1
        if sub > 0:
            C[i, 5 * sub + a] += 1
            C[i, 5 * sub + b] -= 1
    theta = ridged(C, hard, 1).reshape(3, 5)
    same("strengths of authors: scipy's root", o["strengths"], np.c_[theta[0], theta[0] + theta[1], theta[0] + theta[2]])

    human, judge, delta, everyone = [], [], [], []
    for vs, j in zip(d["votes"], d["judge"]):
        ks = [k for k, v in enumerate(vs) if v > 0 and any(w > 0 for i, w in enumerate(vs) if i != k)]
        if not ks:
            continue
        h = np.mean([credit(vs[k], vs[:k] + vs[k + 1 :]) for k in ks])
        human.append(h)
        if j > 0:
            judge.append(np.mean([credit(j, vs[:k] + vs[k + 1 :]) for k in ks]))
            delta.append(judge[-1] - h)
            everyone.append(credit(j, vs))
    c = o["ceiling"]
    same("human ceiling: numpy", [c["human"], c["judge"], c["delta"], c["judge_all"]], [np.mean(human), np.mean(judge), np.mean(delta), np.mean(everyone)])

    # Juries. Without gold: expectation and maximisation as Dawid and Skene have it,
    # a confusion matrix a judge whose two rows mirror each other; and a root of the
    # gradient of the likelihood of margins, from a maximum that scipy finds.
    Z = np.array(d["judges"], float)
    J = o["jury"]
    seen = ~np.isnan(Z)
    v = np.where(seen, np.sign(Z), 0)
    counts = seen.sum(1)
    share = np.where(seen, (v + 1) / 2, np.nan)
    T = np.where(seen.any(0), np.nansum(share, 0) / np.maximum(1, seen.sum(0)), 0.5)
    T = np.stack([T, 1 - T])  # P(first is better), P(second is)
    S = np.stack([np.where(seen, share, 0), np.where(seen, 1 - share, 0)])
    for _ in range(50000):
        a = np.maximum(0.5, (1 + np.einsum("tn,tkn->k", T, S)) / (2 + counts))
        conf = np.stack([[a, 1 - a], [1 - a, a]])  # truth, vote, judge
        logs = np.einsum("vkn,tvk->tn", S, np.log(conf))
        new = special.softmax(logs, axis=0)
        moved, T = np.abs(new - T).max(), new
        if moved < 1e-15:
            break
    same("Dawid-Skene, accuracies: numpy", J["votes"], a)
    same("Dawid-Skene, log-odds: numpy", J["verdicts"], logs[0] - logs[1])
    density = special.logsumexp(logs - np.log(2), axis=0).sum() + np.log(a * (1 - a)).sum()
    same("Dawid-Skene, density: scipy", J["density"], density)

    rms = np.array([np.sqrt(np.mean(z[m] ** 2)) for z, m in zip(Z, seen)])
    U = np.where(seen, Z, 0) / rms[:, None]

    def likelihood(w):
        m = w[:, None] * U
        known = U != 0
        both = np.stack([np.where(known, special.log_expit(m), 0).sum(0), np.where(known, special.log_expit(-m), 0).sum(0)])
        return special.logsumexp(both, axis=0).sum() - w @ w / 2

    def slopes(w):
        return (U * (sigmoid(w @ U) - sigmoid(w[:, None] * U))).sum(1) - w

    start = optimize.minimize(lambda w: -likelihood(w), np.ones(len(Z)), jac=lambda w: -slopes(w), bounds=[(0, None)] * len(Z), method="L-BFGS-B").x
    free = start > 1e-6

    def stuck(x):
        w = np.zeros(len(Z))
        w[free] = x
        return slopes(w)[free]

    w = np.zeros(len(Z))
    w[free] = optimize.root(stuck, start[free], tol=1e-14).x
    same("jury of margins, weights: scipy's root", J["margins"], w / rms)
    same("jury of margins, density: scipy", J["density_margins"], likelihood(w))
    q = sigmoid(w @ U)
    same("jury of margins, accuracies: numpy", J["believed"], [np.mean((q * s + (1 - q) * (1 - s))[m]) for s, m in zip(np.where(seen, share, 0), seen)])

    def weighed(rows):
        size = np.array([np.sqrt(np.mean(z[rows & m] ** 2)) for z, m in zip(Z, seen)])
        X = (np.where(seen, Z, 0) / size[:, None])[:, rows].T
        y = hard[rows]
        loss = lambda w: (np.logaddexp(0, -(X @ w)) + (1 - y) * (X @ w)).sum() + w @ w / 2
        slope = lambda w: X.T @ (sigmoid(X @ w) - y) + w
        first = optimize.minimize(loss, np.ones(len(Z)), jac=slope, bounds=[(0, None)] * len(Z), method="L-BFGS-B").x
        free = first > 1e-6
        out = np.zeros(len(Z))
        out[free] = ridged(X[:, free], y, 1)
        return out / size

    same("jury by gold, weights from 0: scipy's root", J["gold"], weighed(np.ones(n, bool)))
    for f in np.unique(fold):
        test = fold == f
        margins = weighed(~test) @ np.where(seen, Z, 0)
        same("jury by gold, out of fold: scipy, by part", np.array(J["crossed"], float)[test], margins[test])
    both = seen[0] & seen[1]
    same("kappa of votes: scikit-learn", J["kappa"], cohen_kappa_score(v[0][both], v[1][both]))
    x, y = 2 * np.array(J["right"])[:2] - 1
    same("correlation of errors: numpy", J["errors"], (np.mean((v[0] * v[1])[both]) - x * y) / np.sqrt((1 - x * x) * (1 - y * y)))

bad = 0
for name in worst:
    ok = worst[name] <= BOUND
    bad += not ok
    print(f"{'ok ' if ok else 'BAD'} {worst[name]:.1e}  {count[name]:4d}  {name}")
if pingouin is None:
    print("ICC was not checked: pingouin is not there")
print(f"{len(worst)} figures, {bad} differ by more than {BOUND}")
sys.exit(bad > 0)
