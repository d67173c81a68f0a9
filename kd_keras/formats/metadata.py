"""TFLite metadata: what a .tflite file says about itself to MediaPipe, Android Studio and model viewers.

The metadata is a flatbuffer in the model's own list of buffers (``metadata_schema.fbs`` 1.5.0, file identifier M001).
The files that it names follow the model as an uncompressed zip. Only the flatbuffers package is used: MediaPipe's
writer needs a module that its wheel lacks, and tflite-support pins old versions of many packages.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

import flatbuffers

from kd_keras.formats.slim import packed, unpacked

_NAME = b"TFLITE_METADATA"
_METADATA_ID = b"M001"
# Values of the schema's enums AssociatedFileType and ProcessUnitOptions.
LABELS, VOCABULARY = 2, 5
BERT_TOKENIZER, REGEX_TOKENIZER = 4, 6

# A table is {number of the field: value}. Fields have the schema's numbers; a union takes two (type, value). Strings,
# tables and lists of tables are written by reference. An int is an enum's byte.
Table = dict[int, "str | int | Table | Sequence[Table]"]


def associated_file(name: str, description: str, type_: int) -> Table:
    """One of the files in the zip; ``type_`` is ``LABELS`` or ``VOCABULARY``."""
    return {0: name, 1: description, 2: type_}


def bert_tokenizer(vocab: Table) -> Table:
    """A process unit. The vocabulary has one piece a line, numbered from 0."""
    return {0: BERT_TOKENIZER, 1: {0: [vocab]}}


def regex_tokenizer(delimiter: str, vocab: Table) -> Table:
    """A process unit. ``delimiter`` is a regular expression of RE2; the vocabulary has "word id" on each line."""
    return {0: REGEX_TOKENIZER, 1: {0: delimiter, 1: [vocab]}}


def tensor(name: str, description: str, files: Sequence[Table] = (), process: Sequence[Table] = ()) -> Table:
    """An input or output of the graph."""
    return {0: name, 1: description} | ({4: process} if process else {}) | ({6: files} if files else {})


def model(
    name: str,
    description: str,
    version: str,
    inputs: Sequence[Table],
    outputs: Sequence[Table],
    process: Sequence[Table] = (),
) -> bytes:
    """The metadata's flatbuffer.

    Args:
      name, description, version: of the model.
      inputs, outputs: one :func:`tensor` for each of the graph's, in the graph's order.
      process: what is done to all inputs together.
    """
    subgraph: Table = {2: inputs, 3: outputs} | ({5: process} if process else {})
    # 1.2.1 is the first version of the schema that has all that is used here.
    root: Table = {0: name, 1: description, 2: version, 3: [subgraph], 7: "1.2.1"}
    builder = flatbuffers.Builder()
    builder.Finish(_written(builder, root), _METADATA_ID)
    return bytes(builder.Output())


def with_metadata(content: bytes, metadata: bytes, files: Mapping[str, bytes]) -> bytes:
    """A .tflite file with the flatbuffer inside and ``files`` behind it. The bytes are the same every time."""
    from ai_edge_litert import schema_py_generated as schema

    tflite = unpacked(content)
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = _NAME, len(tflite.buffers)
    buffer.data = list(metadata)
    tflite.buffers.append(buffer)
    tflite.metadata = [*(tflite.metadata or ()), entry]
    out = io.BytesIO()
    out.write(packed(tflite, len(content) + len(metadata) + 1024))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # always dated 1980
    return out.getvalue()


def _written(builder: flatbuffers.Builder, table: Table) -> int:
    """Writes what ``table`` refers to, then the table, and returns its offset. A flatbuffer grows from its end."""
    references = {}
    for field, value in table.items():
        if isinstance(value, str):
            references[field] = builder.CreateString(value)
        elif isinstance(value, dict):
            references[field] = _written(builder, value)
        elif not isinstance(value, int):
            items = [_written(builder, item) for item in value]
            builder.StartVector(4, len(items), 4)
            for item in reversed(items):
                builder.PrependUOffsetTRelative(item)
            references[field] = builder.EndVector()
    builder.StartObject(max(table) + 1)
    for field, value in table.items():
        if field in references:
            builder.PrependUOffsetTRelativeSlot(field, references[field], 0)
        else:
            builder.PrependUint8Slot(field, value, 0)
    return builder.EndObject()
