"""Domains: the events of some of them, and which ones an item belongs to."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from warmstart.data.interactions import Interactions


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
