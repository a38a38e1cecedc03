"""Flags: tokenizers, parsers, MCP and plug-ins (cli 4.9)."""

from __future__ import annotations

from functools import partial

from smg.config.flags.row import Flag
from smg.config.kinds import Int, Kind, Seconds, Switch

tokenizer = partial(Flag, group="Tokenizer")
parser = partial(Flag, group="Parsers")
mcp = partial(Flag, group="MCP", feature="MCP tools")
wasm = partial(Flag, group="WASM", feature="WASM plug-ins")

FLAGS = (
    tokenizer(
        name="model-path",
        aliases=("model",),
        kind=Kind("MODEL"),
        help="Tokenizer to load at start: hub id or path.",
    ),
    tokenizer(name="tokenizer-path", kind=Kind("MODEL"), help="The same; wins over --model-path."),
    tokenizer(name="chat-template", kind=Kind("FILE"), help="Chat template of that tokenizer."),
    tokenizer(
        name="disable-tokenizer-autoload",
        kind=Switch(),
        default=False,
        help="Load tokenizers only when told by the API.",
    ),
    tokenizer(
        name="tokenizer-cache-enable-l0",
        kind=Switch(),
        default=False,
        help="Keep the ids of whole texts.",
    ),
    tokenizer(
        name="tokenizer-cache-l0-max-entries",
        kind=Int(1),
        default=10000,
        help="Texts in that cache.",
    ),
    tokenizer(
        name="tokenizer-cache-l0-max-memory",
        kind=Int(1, label="BYTES"),
        default=268435456,
        tag="beyond",
        help="Memory of that cache.",
    ),
    tokenizer(
        name="tokenizer-cache-enable-l1",
        kind=Switch(),
        default=False,
        help="Keep the ids of the pieces of a chat.",
    ),
    tokenizer(
        name="tokenizer-cache-l1-max-memory",
        kind=Int(1, label="BYTES"),
        default=52428800,
        help="Memory of that cache.",
    ),
    parser(
        name="reasoning-parser",
        kind=Kind("NAME"),
        help="Parser of reasoning that /parse/reasoning uses where a request names none.",
    ),
    parser(
        name="tool-call-parser",
        kind=Kind("NAME"),
        help="Parser of tool calls that /parse/function_call uses likewise.",
    ),
    mcp(name="mcp-config-path", kind=Kind("FILE"), help="MCP servers, as YAML."),
    mcp(
        name="mcp-allow-private-servers",
        kind=Switch(),
        default=False,
        tag="beyond",
        help="Requests may name MCP servers on private addresses.",
    ),
    mcp(
        name="mcp-tool-timeout-secs",
        kind=Seconds(1),
        default=60,
        tag="beyond",
        help="Time a tool call may take.",
    ),
    mcp(
        name="mcp-max-result-bytes",
        kind=Int(1, label="BYTES"),
        default=1048576,
        tag="beyond",
        help="Largest tool result.",
    ),
    wasm(name="enable-wasm", kind=Switch(), default=False, help="Run WASM plug-ins."),
    wasm(
        name="storage-hook-wasm-path",
        kind=Kind("FILE"),
        tag="beyond",
        help="WASM module around the history storage.",
    ),
)
