"""The text form of a graph: one node a line, and everything read back exactly as it was.

    graph {
      %0: f32[N=N, C=3] = input {name="x", role="data"}
      %1: f32 = const {value=2.0, dtype="f32"}
      %2: f32[N=N, C=3] = mul(%0, %1) @0:12-17  # LeNet.conv_0
      inputs %0
      output "out" %2
    }

What follows `#` is the node's path. Attributes: numbers, `true`, `none`, "strings", axes by name
(`C`, `C~2` with its scope), sizes in angle brackets, tuples, `array(...)`, and bodies `graph {}`.
Spans are printed on demand, with the texts that they point into.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NoReturn

import numpy as np

from dlc.diagnostics import Source, Span
from dlc.graph import (
    DTYPES,
    Attr,
    Axis,
    DType,
    Graph,
    Node,
    RangeCheck,
    Size,
    SizeCheck,
    TensorType,
    order,
    parse_size,
)

WORD = re.compile(r"[A-Za-z_][\w.]*")
WORDS: Mapping[str, Attr] = {
    "true": True, "false": False, "none": None, "inf": float("inf"), "nan": float("nan"),
}  # fmt: skip
RESERVED = frozenset((*WORDS, "axis", "array", "graph"))
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
NUMBER = re.compile(r"-?(?:inf\b|\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
SPACE = re.compile(r"[ \n]*")
PATH = re.compile(r" *# ([^\n]*)")
DAMAGE = (KeyError, AssertionError, ValueError, TypeError, OverflowError, RecursionError)


def print_graph(graph: Graph, *, spans: bool = False) -> str:
    """The text of the graph; `spans=True` adds their places and the texts of these."""
    return "\n".join(_Printer(with_spans=spans).program(graph)) + "\n"


def parse_graph(text: str) -> Graph:
    """The graph that `print_graph` wrote. Raises ValueError with the line of a damaged text."""
    reader = _Reader(text)
    try:
        graph = reader.program()
    except DAMAGE as error:
        raise ValueError(f"damaged graph text, line {reader.line}: {error}") from error
    return graph


class _Printer:
    """Numbers nodes as it prints them, bodies of nodes included."""

    def __init__(self, *, with_spans: bool) -> None:
        self.with_spans = with_spans
        self.numbers: dict[Node, int] = {}
        self.sources: dict[Source, int] = {}

    def program(self, graph: Graph) -> list[str]:
        lines = self.graph(graph)
        texts = [f"source {i} {_quote(s.path)} {_quote(s.text)}" for s, i in self.sources.items()]
        return [*texts, *lines]

    def graph(self, graph: Graph) -> list[str]:
        lines = ["graph {"]
        for node in order([*graph.inputs, *graph.outputs.values()]):
            if node not in self.numbers:
                lines += ["  " + line for line in self.node(node).split("\n")]
        lines.append("  inputs" + "".join(f" %{self.numbers[n]}" for n in graph.inputs))
        for name, node in graph.outputs.items():
            lines.append(f"  output {_quote(name)} %{self.numbers[node]}")
        return [*lines, *("  " + self.check(c) for c in graph.checks), "}"]

    def node(self, node: Node) -> str:
        args = ", ".join(f"%{self.numbers[a]}" for a in node.args)
        attrs = ", ".join(f"{k}={self.value(v)}" for k, v in node.attrs.items())
        number = self.numbers[node] = len(self.numbers)
        text = f"%{number}: {_type(node.type)} = {node.op}"
        text += (f"({args})" if args else "") + (f" {{{attrs}}}" if attrs else "")
        text += self.spans(node.spans)
        return f"{text}  # {node.path}" if node.path else text

    def spans(self, spans: tuple[Span, ...]) -> str:
        if not spans or not self.with_spans:
            return ""
        places = [
            f"{self.sources.setdefault(s.source, len(self.sources))}:{s.start}-{s.end}"
            for s in spans
        ]
        return " @" + ",".join(places)

    def check(self, check: SizeCheck | RangeCheck) -> str:
        spans = self.spans(check.spans)
        if isinstance(check, RangeCheck):
            return f"range {_quote(check.input)} <{check.size}> {_axis(check.axis)}{spans}"
        sides = f"<{check.left}> {_quote(check.relation)} <{check.right}>"
        return f"check {sides} {_quote(check.message)}{spans}"

    def value(self, value: Attr) -> str:
        match value:
            case None:
                return "none"
            case bool():
                return "true" if value else "false"
            case str():
                return _quote(value)
            case Axis():
                return _axis(value)
            case Size():
                return f"<{value}>"
            case tuple():
                comma = "," if len(value) == 1 else ""
                return f"({', '.join(map(self.value, value))}{comma})"
            case Graph():
                return "\n".join(self.graph(value))
            case np.ndarray():
                data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
                shape = self.value(tuple(int(n) for n in value.shape))
                return f'array("{value.dtype.str}", {shape}, "{data}")'
            case int() | float() if type(value) in (int, float):
                return repr(value)
        raise TypeError(f"an attribute without a text form: {value!r} of {type(value).__name__}")


class _Reader:
    """A position in a text, and what is read from there on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.nodes: dict[int, Node] = {}
        self.sources: dict[int, Source] = {}
        self.sizes: dict[str, Size] = {}

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.position) + 1

    def fail(self, expected: str) -> NoReturn:
        self.take("")
        found = self.text[self.position : self.position + 20].split("\n")[0]
        raise ValueError(f"expected {expected}, found {found!r}")

    def take(self, text: str) -> bool:
        """Whether `text` comes next after spaces; it is then read."""
        found = SPACE.match(self.text, self.position)
        at = found.end() if found else self.position
        if self.text.startswith(text, at):
            self.position = at + len(text)
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            self.fail(repr(text))

    def match(self, pattern: re.Pattern[str], expected: str) -> str:
        self.take("")
        found = pattern.match(self.text, self.position)
        if found is None:
            self.fail(expected)
        self.position = found.end()
        return found.group()

    def word(self) -> str:
        return self.match(WORD, "a word")

    def string(self) -> str:
        return str(json.loads(self.match(STRING, "a string")))

    def integer(self) -> int:
        return int(self.match(re.compile(r"\d+"), "a number"))

    def program(self) -> Graph:
        while self.take("source "):
            number = self.integer()
            self.sources[number] = Source(self.string(), self.string())
        graph = self.graph()
        self.take("")
        if self.position != len(self.text):
            self.fail("the end")
        return graph

    def graph(self) -> Graph:
        self.expect("graph {")
        while self.take("%"):
            self.node()
        self.expect("inputs")
        inputs: list[Node] = []
        while self.take("%"):
            inputs.append(self.reference())
        outputs: dict[str, Node] = {}
        while self.take("output "):
            name = self.string()
            self.expect("%")
            outputs[name] = self.reference()
        checks: list[SizeCheck | RangeCheck] = []
        while not self.take("}"):
            checks.append(self.check())
        return Graph(tuple(inputs), outputs, tuple(checks))

    def reference(self) -> Node:
        number = self.integer()
        if number not in self.nodes:
            raise ValueError(f"no node %{number} stands before")
        return self.nodes[number]

    def node(self) -> None:
        number = self.integer()
        if number in self.nodes:
            raise ValueError(f"node %{number} stands here twice")
        self.expect(":")
        type = self.type()
        self.expect("=")
        op = self.word()
        args = tuple(self.items(")", self.operand)) if self.take("(") else ()
        attrs = dict(self.items("}", self.attribute)) if self.take("{") else {}
        spans = self.spans()
        path = PATH.match(self.text, self.position)
        self.position = path.end() if path else self.position
        self.nodes[number] = Node(op, args, type, attrs, spans, path.group(1) if path else "")

    def items(self, end: str, item: Callable[[], Any]) -> Iterator[Any]:
        while not self.take(end):
            yield item()
            if not self.take(","):
                self.expect(end)
                return

    def operand(self) -> Node:
        self.expect("%")
        return self.reference()

    def attribute(self) -> tuple[str, Attr]:
        name = self.word()
        self.expect("=")
        return name, self.value()

    def type(self) -> TensorType:
        dtype = _dtype(self.word())
        dims = tuple(self.items("]", self.dim)) if self.take("[") else ()
        return TensorType(dtype, dims)

    def dim(self) -> tuple[Axis, Size]:
        axis = self.axis()
        self.expect("=")
        return axis, self.size(re.compile(r"[^,\]\n]+"))

    def size(self, pattern: re.Pattern[str]) -> Size:
        text = self.match(pattern, "a size")
        if text not in self.sizes:
            self.sizes[text] = parse_size(text)
        return self.sizes[text]

    def axis(self) -> Axis:
        name = self.string() if self.take("axis ") else self.word()
        return Axis(name, self.integer() if self.take("~") else 0)

    def constant(self) -> Attr:
        found = WORD.match(self.text, self.position)
        if found is None or found.group() not in WORDS:
            return self.axis()
        self.position = found.end()
        return WORDS[found.group()]

    def spans(self) -> tuple[Span, ...]:
        if not self.take("@"):
            return ()
        spans = [self.span()]
        while self.take(","):
            spans.append(self.span())
        return tuple(spans)

    def span(self) -> Span:
        source = self.sources[self.integer()]
        self.expect(":")
        start = self.integer()
        self.expect("-")
        return Span(source, start, self.integer())

    def check(self) -> SizeCheck | RangeCheck:
        if self.take("range "):
            return RangeCheck(self.string(), self.bracketed(), self.axis(), self.spans())
        self.expect("check ")
        left, relation, right = self.bracketed(), _relation(self.string()), self.bracketed()
        return SizeCheck(left, relation, right, self.string(), self.spans())

    def bracketed(self) -> Size:
        self.expect("<")
        size = self.size(re.compile(r"[^>\n]+"))
        self.expect(">")
        return size

    def value(self) -> Attr:
        self.take("")
        match self.text[self.position : self.position + 1]:
            case '"':
                return self.string()
            case "<":
                return self.bracketed()
            case "(":
                self.expect("(")
                return tuple(self.items(")", self.value))
            case first if first == "-" or first.isdigit():
                number = self.match(NUMBER, "a number")
                return int(number) if number.lstrip("-").isdigit() else float(number)
        if self.take("array("):
            return self.array()
        if self.text.startswith("graph {", self.position):
            return self.graph()
        return self.constant()

    def array(self) -> np.ndarray[Any, Any]:
        dtype = np.dtype(self.string())
        self.expect(",")
        shape = self.value()
        self.expect(",")
        data = base64.b64decode(self.string(), validate=True)
        self.expect(")")
        return np.frombuffer(data, dtype).reshape(shape).copy()


def _dtype(word: str) -> DType:
    for dtype in DTYPES:
        if dtype == word:
            return dtype
    raise ValueError(f"{word} is no dtype")


def _relation(word: str) -> Literal["==", ">=", "divisible"]:
    match word:
        case "==" | ">=" | "divisible":
            return word
    raise ValueError(f"{word} is no relation of sizes")


def _quote(text: str) -> str:
    return json.dumps(text)


def _axis(axis: Axis) -> str:
    plain = WORD.fullmatch(axis.name) and axis.name not in RESERVED and axis.name.isascii()
    name = axis.name if plain else f"axis {_quote(axis.name)}"
    return f"{name}~{axis.scope}" if axis.scope else name


def _type(type: TensorType) -> str:
    dims = ", ".join(f"{_axis(a)}={n}" for a, n in type.dims)
    return f"{type.dtype}[{dims}]" if dims else type.dtype
