"""Domains: their names to codes, the events of some of them, and the domains of each item."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from warmstart.data.interactions import Interactions
from warmstart.errors import UsageError, join_names


def only(log: Interactions, domains: Sequence[int]) -> Interactions:
    """The events of some domains, with the same users and items."""
    assert log.domain is not None, "only a log with domains has events of some"
    kept = np.isin(log.domain, domains)
    time = None if log.time is None else log.time[kept]
    return replace(
        log,
        user=log.user[kept],
        item=log.item[kept],
        value=log.value[kept],
        time=time,
        domain=log.domain[kept],
    )


def with_domains(log: Interactions) -> Interactions:
    """The log with the domains of each item as a column of the table of items."""
    assert log.domain is not None, "only a log with domains has domains of items"
    pairs = pl.DataFrame({"item": log.item, "domain": log.domain}).unique().sort("item", "domain")
    names = pl.Series(log.domains).gather(pairs["domain"])
    listed_up = (
        pairs.with_columns(domain=names)
        .group_by("item", maintain_order=True)
        .agg(pl.col("domain").str.join("|"))
    )
    column = pl.DataFrame({"item": np.arange(len(log.items))}).join(
        listed_up, on="item", how="left", maintain_order="left"
    )
    table = column.select("domain")
    if log.item_table is not None:
        table = log.item_table.with_columns(table["domain"])
    return replace(log, item_table=table)


def source_and_target(
    log: Interactions, sources: Sequence[str], target: str | None
) -> tuple[list[int], int]:
    """The codes of the source domains, by default all others, and that of the target."""
    if log.domain is None or len(log.domains) < 2:
        raise UsageError(
            "cross-domain needs events of at least two domains; name the column of domains with "
            "--columns domain=..."
        )
    for name in (*sources, *([] if target is None else [target])):
        if name not in log.domains:
            raise UsageError(
                f'there is no domain "{name}"; the data have {join_names(log.domains)}'
            )
    if target is None:
        raise UsageError(
            "say in which domain to recommend with --target; the data have "
            f"{join_names(log.domains)}"
        )
    if target in sources:
        raise UsageError(f'"{target}" cannot be source and target at once')
    named = sources or tuple(name for name in log.domains if name != target)
    return [log.domains.index(name) for name in named], log.domains.index(target)
