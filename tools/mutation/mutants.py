"""Mutants: copies of a program, each wrong in one place."""

import ast
import builtins
import difflib
from collections.abc import Iterator
from dataclasses import dataclass

Imports = ast.Import | ast.ImportFrom
Change = tuple[ast.stmt | ast.expr, str]  # a node, and the text that takes its place

ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
}
ARITHMETIC |= {
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMPARISON = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
COMPARISON |= {ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
CONNECTIVE = {ast.And: ast.Or, ast.Or: ast.And}
NOT_RUN = {
    "annotation",
    "returns",
    "decorator_list",
    "bases",
}  # fields that hold types, or act when a class is made


@dataclass(frozen=True)
class Mutant:
    """A program with one change, and the line where that is."""

    source: str
    line: int
    diff: str


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a program once, from its first line to its last."""
    tree = ast.parse(source)
    imports = [node for node in ast.walk(tree) if isinstance(node, Imports)]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    changes = [change for node in _running(tree) for change in _changes(node, imported)]
    found = {_changed(source, node, text): node.lineno for node, text in changes}
    return [
        Mutant(text, line, _diff(source, text))
        for text, line in sorted(found.items(), key=lambda pair: pair[1])
        if text != source and _compiles(text)
    ]


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """All below a node that has an effect when it runs: no import, docstring, type, or text with
    gaps.
    """
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and field not in NOT_RUN and not _is_idle(child):
                yield child
                yield from _running(child)


def _is_idle(node: ast.AST) -> bool:
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    declaration = isinstance(node, ast.AnnAssign) and node.value is None
    return docstring or declaration or isinstance(node, Imports | ast.Pass | ast.JoinedStr)


def _changes(node: ast.AST, imported: set[str]) -> Iterator[Change]:
    if isinstance(node, ast.stmt) and not isinstance(node, ast.ClassDef):
        yield node, "pass"
    if isinstance(node, ast.If | ast.While):
        yield node.test, f"not ({ast.unparse(node.test)})"
    if isinstance(node, ast.arguments):
        yield from (
            (text, repr(f"{text.value}?"))
            for text in [*node.defaults, *node.kw_defaults]
            if _is_text(text)
        )
    if isinstance(node, ast.expr):
        yield from ((node, text) for text in _other_values(node))
    if isinstance(node, ast.Call):
        yield from ((node, text) for text in _other_calls(node, imported))


def _is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _other_values(node: ast.expr) -> Iterator[str]:
    """The opposite operator, the other branch, the next number, the other side of a switch."""
    match node:
        case ast.BinOp(left, op, right) if type(op) in ARITHMETIC:
            yield _text(ast.BinOp(left, ARITHMETIC[type(op)](), right))
        case ast.Compare(left, [op], [right]):
            yield _text(ast.Compare(left, [COMPARISON[type(op)]()], [right]))
        case ast.BoolOp(op, values):
            yield _text(ast.BoolOp(CONNECTIVE[type(op)](), values))
        case ast.UnaryOp(ast.USub(), ast.Constant(int(number))):
            yield repr(1 - number)
        case ast.UnaryOp(_, operand):
            yield _text(operand)
        case ast.IfExp(test, body, orelse):
            yield _text(ast.IfExp(test, orelse, body))
        case ast.Constant(bool(switch)):
            yield repr(not switch)
        case ast.Constant(int(number)):
            yield repr(number + 1)
        case ast.Constant(float(number)):
            yield repr(number * 1.5 or 1.0)


def _other_calls(call: ast.Call, imported: set[str]) -> Iterator[str]:
    """The call with two neighbouring arguments swapped, and what it is made of without the call."""
    for i in range(len(call.args) - 1):
        swapped = [*call.args[:i], call.args[i + 1], call.args[i], *call.args[i + 2 :]]
        yield ast.unparse(ast.Call(call.func, swapped, call.keywords))
    subject = _subject(call, imported)
    if subject is not None:
        yield _text(subject)


def _subject(call: ast.Call, imported: set[str]) -> ast.expr | None:
    """What a method is called on, or the first argument of a function; nothing for classes and
    builtins.
    """
    match call.func:
        case ast.Name(name) if name in dir(builtins) or name[0].isupper():
            return None
        case ast.Attribute(attr=name) if name[0].isupper():
            return None
        case ast.Attribute(ast.Call(ast.Name("super"))):
            return None
        case ast.Attribute(receiver) if not _names_a_function(receiver, imported):
            return receiver
    return call.args[0] if call.args else None


def _names_a_function(user: ast.expr, imported: set[str]) -> bool:
    """Whether the user of an attribute is a module (torch.linalg) or the object itself (self), and
    no value.
    """
    if isinstance(user, ast.Name):
        return user.id == "self" or user.id in imported
    return isinstance(user, ast.Attribute) and ast.unparse(user).split(".")[0] in imported


def _text(node: ast.expr) -> str:
    atom = isinstance(node, ast.Name | ast.Constant | ast.Call | ast.Attribute | ast.Subscript)
    return ast.unparse(node) if atom else f"({ast.unparse(node)})"


def _changed(source: str, node: ast.stmt | ast.expr, text: str) -> str:
    """The source with the text in place of the node; positions count bytes."""
    lines = source.encode().splitlines(keepends=True)
    assert node.end_lineno is not None and node.end_col_offset is not None, (
        "parsed nodes have an end"
    )
    before = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    after = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    return (before + text.encode() + after).decode()


def _compiles(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _diff(source: str, changed: str) -> str:
    lines = difflib.unified_diff(source.splitlines(), changed.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))
