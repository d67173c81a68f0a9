"""TFLite metadata: what a .tflite file says about itself to MediaPipe, Android Studio and model viewers.

A flatbuffer of the schema ``metadata_schema.fbs`` 1.5.0 (file identifier M001) in the model's own list of buffers, and
the files it names as an uncompressed zip behind the model. Written with the flatbuffers package alone: MediaPipe's
writer needs a module that its wheel lacks, tflite-support's pins old versions of much else.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

import flatbuffers

_NAME = b"TFLITE_METADATA"
_MODEL_ID, _METADATA_ID = b"TFL3", b"M001"
# AssociatedFileType, ProcessUnitOptions
LABELS, VOCABULARY = 2, 5
BERT_TOKENIZER, REGEX_TOKENIZER = 4, 6

# A table as {number of the field: value}, numbered as the schema lists the fields (a union takes two: type, value).
# Strings, tables and lists of tables are written by reference; an int is an enum's byte.
Table = dict[int, "str | int | Table | Sequence[Table]"]


def associated_file(name: str, description: str, type_: int) -> Table:
    """One of the files in the zip; ``type_`` is ``LABELS`` or ``VOCABULARY``."""
    return {0: name, 1: description, 2: type_}


def bert_tokenizer(vocab: Table) -> Table:
    """A process unit; the vocabulary has a piece a line, numbered from 0."""
    return {0: BERT_TOKENIZER, 1: {0: [vocab]}}


def regex_tokenizer(delimiter: str, vocab: Table) -> Table:
    """A process unit; ``delimiter`` is RE2's, the vocabulary has "word id" on a line."""
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
      inputs, outputs: :func:`tensor` for each of the graph's, in its order.
      process: what is done to all inputs together.
    """
    subgraph: Table = {2: inputs, 3: outputs} | ({5: process} if process else {})
    # 1.2.1 is the first version of the schema that has all that is used here.
    root: Table = {0: name, 1: description, 2: version, 3: [subgraph], 7: "1.2.1"}
    builder = flatbuffers.Builder()
    builder.Finish(_written(builder, root), _METADATA_ID)
    return bytes(builder.Output())


def with_metadata(content: bytes, metadata: bytes, files: Mapping[str, bytes]) -> bytes:
    """``content`` of a .tflite file with the flatbuffer inside and ``files`` behind it; the same bytes every time."""
    from ai_edge_litert import schema_py_generated as schema

    tflite = schema.ModelT.InitFromPackedBuf(content, 0)
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = _NAME, len(tflite.buffers)
    buffer.data = list(metadata)
    tflite.buffers.append(buffer)
    tflite.metadata = [*(tflite.metadata or ()), entry]
    builder = _ModelBuilder(len(content) + len(metadata) + 1024)
    builder.Finish(tflite.Pack(builder), _MODEL_ID)
    out = io.BytesIO()
    out.write(builder.Output())
    with zipfile.ZipFile(out, "a", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # dated 1980, whatever the day
    return out.getvalue()


class _ModelBuilder(flatbuffers.Builder):
    """Puts bytes at multiples of 16, as TFLite's schema has it for weights and its Python code forgets."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)


def _written(builder: flatbuffers.Builder, table: Table) -> int:
    """Writes what ``table`` refers to, then itself: a flatbuffer grows from its end. Gives its offset."""
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
