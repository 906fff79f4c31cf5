"""Makes a precompiled charsmap, the normalization rules of sentencepiece: the size of a Darts-clone
double array in bytes, the array, and the replacements with a zero after each
(https://github.com/s-yata/darts-clone; SentencePiece's src/normalizer.h)."""
import struct


def charsmap(rules):
    """`rules`: a dictionary of strings."""
    replacements, root = b"", {}
    for key in sorted(rules):
        node = root
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node[0] = len(replacements)  # the leaf's label is zero
        replacements += rules[key].encode() + b"\0"
    units, used_bases = {0: 0}, set()

    def place(node, position):
        base = 1
        while (base in used_bases or any(base ^ label in units for label in node)):
            base += 1
        used_bases.add(base)
        units[position] |= (position ^ base) << 10 | (0x100 if 0 in node else 0)
        for label, child in node.items():
            units[base ^ label] = label if label else 1 << 31 | child
        for label, child in node.items():
            if label:
                place(child, base ^ label)

    place(root, 0)
    size = (max(units) | 0xff) + 1
    array = struct.pack(f"<{size}I", *(units.get(i, 0) for i in range(size)))
    return struct.pack("<I", len(array)) + array + replacements
