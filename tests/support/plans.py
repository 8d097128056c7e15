"""Query plans as lists of their nodes."""

from typing import Any

import orjson


def nodes_of(plan: str) -> list[dict[str, Any]]:
    """Every node of a plan in EXPLAIN's JSON."""

    def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
        return [node, *(each for child in node.get("Plans", []) for each in walk(child))]

    return walk(orjson.loads(plan)[0]["Plan"])


async def plan_of(connection: Any, statement: str) -> list[dict[str, Any]]:
    """Every node of a statement's plan, as it was carried out."""
    return nodes_of(await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"))


def relations_read(nodes: list[dict[str, Any]]) -> set[str]:
    """The tables that were really looked into; a partition that was never reached is none of them."""
    return {node["Relation Name"] for node in nodes if "Relation Name" in node and node["Actual Loops"]}
