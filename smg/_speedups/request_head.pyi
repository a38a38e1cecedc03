TRACEPARENT: bytes

def request_head(
    prefix: bytes,
    headers: list[tuple[bytes, bytes]],
    names: frozenset[bytes],
    request_id: bytes,
    authorization: bytes,
    keep_credential: bool,
    length: int,
) -> bytes: ...
def length_line(length: int) -> bytes: ...
def query_mark(target: bytes) -> int: ...
