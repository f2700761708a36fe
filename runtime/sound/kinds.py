"""Kinds: what first bytes tell of what follows. Which decoder takes it is opener.py's to say."""

import re
from typing import NamedTuple

LOOK = 384
"""So many bytes tell every kind but an MP3 without a tag, which mpeg.py looks for."""


class Kind(NamedTuple):
    """One kind of recording.

    name: as people call it, with its article. magic: its first bytes. more: what follows them, a pattern;
    together so long that it is not met in a recording's samples by chance, or `is_sure` is false.
    demuxer: what FFmpeg calls it.
    """

    name: str
    magic: bytes
    more: "re.Pattern[bytes]"
    demuxer: str = ""
    is_sure: bool = True

    def begins(self, view: bytes) -> bool:
        return view.startswith(self.magic) and self.more.match(view, len(self.magic)) is not None


def _kind(name: str, magic: bytes, more: bytes = b"", demuxer: str = "", is_sure: bool = True) -> Kind:
    return Kind(name, magic, re.compile(more, re.DOTALL), demuxer, is_sure)


WAV, RIFX, RF64, BW64, W64, AIFF, SVX8, SVX16, CAF, CAF_PACKED, AU, AU_LITTLE, HTK, VOC, DUMP, FLAC, OGG = (
    _kind("a WAV", b"RIFF", rb"....WAVE", "wav"),
    _kind("a RIFX", b"RIFX", rb"....WAVE"),
    _kind("an RF64", b"RF64", rb"....WAVE", "wav"),
    _kind("a BW64", b"BW64", rb"....WAVE", "wav"),
    _kind("a W64", b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0", rb".{8}wave\xf3\xac\xd3\x11", "w64"),
    _kind("an AIFF", b"FORM", rb"....AIF[FC]", "aiff"),
    _kind("an IFF", b"FORM", rb"....8SVX", "iff"),
    _kind("an IFF", b"FORM", rb"....16SV", "iff"),
    _kind("a CAF", b"caff", rb"\x00\x01\x00\0desc.{16}(lpcm|ulaw|alaw)", "caf"),
    _kind("a CAF", b"caff", rb"\x00\x01\x00\0desc", "caf"),
    _kind("an AU", b".snd", rb"\x00\x00......\x00\x00\x00[\x01-\x1b]\x00", "au"),
    _kind("an AU", b"dns.", rb"..\x00\x00....[\x01-\x1b]\x00\x00\x00...\x00", "au"),
    _kind("an HTK", b"\0", rb"...\x00\x00..\x00\x02\x00\x00", is_sure=False),
    _kind("a VOC", b"Creative Voice File\x1a", demuxer="voc"),
    _kind("a MIDI sample dump", b"\xf0\x7e", rb".\x01", is_sure=False),
    _kind("a FLAC", b"fLaC", rb"[\x00\x80]\x00\x00\x22", "flac"),
    _kind("an Ogg", b"OggS", rb"\x00[\x00-\x07]", "ogg"),
)  # fmt: skip

AVR, MPC2K, NIST, WVE = (
    _kind("an AVR", b"2BIT", rb".{8}[\x00\xff]{2}\x00[\x08\x10]"),
    _kind("an MPC 2000", b"\1\4", rb"[ -~]{16}[\x00-\xc8].[\x00\x01]"),
    _kind("a NIST", b"NIST_1A\n", demuxer="nistsphere"),
    _kind("a WVE", b"ALawSoundFile**"),
)
PAFS = (
    _kind("a PAF", b" paf", rb"\x00{8}...."),
    _kind("a PAF", b"fap ", rb"\x00{4}"),
)
FORWARD = (
    AVR,
    MPC2K,
    NIST,
    WVE,
    *PAFS,
    _kind("a MAT4", b"\0\0", rb"\x03\xe8(\x00\x00\x00\x01){2}\x00{4}...\x0bsamplerate\x00"),
    _kind("a MAT4", b"\0\0\0\0", rb"(\x01\x00\x00\x00){2}\x00{4}\x0b...samplerate\x00"),
    _kind("a MAT5", b"MATLAB 5.0 MAT-file"),
    _kind("a PVF", b"PVF1\n", rb"\d+ \d+ \d+\n"),
    _kind("an IRCAM", b"\x64\xa3", rb"[\x01-\x04]\x00....[\x01-\x40]\x00{3}.\x00[\x00-\x04]\x00", "ircam"),
    _kind("an IRCAM", b"\x64\xa3", rb"[\x01-\x04]\x00....\x00{3}[\x01-\x40]\x00[\x00-\x04]\x00.", "ircam"),
    _kind("an IRCAM", b"\0", rb"[\x01-\x04]\xa3\x64....\x00{3}[\x01-\x40]\x00[\x00-\x04]\x00.", "ircam"),
    _kind("an XI", b"Extended Instrument: "),
)
"""What libsndfile reads forward only."""


CONTAINERS = (
    _kind("an MP4", b"", rb"....(ftyp|moov|mdat|moof|wide|free|skip)", "mov", False),
    _kind("a Matroska or WebM", b"\x1a\x45\xdf\xa3", demuxer="matroska"),
    _kind("a WMA", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", demuxer="asf"),
    _kind("an AMR", b"#!AMR", demuxer="amr"),
    _kind("an AAC", b"ADIF", demuxer="aac"),
    _kind("an AAC", b"\xff", rb"[\xf0\xf1\xf8\xf9][\x40-\x7f].[\x00-\xff]", "aac", False),
    _kind("an AC-3", b"\x0b\x77", rb"..[\x00-\x25\x40-\x65\x80-\xa5][\x30-\x57]", "ac3", False),
    _kind("an MPEG transport stream", b"\x47", rb".{187}\x47.{187}\x47", "mpegts", False),
    _kind("an MPEG program stream", b"\0\0\1\xba", demuxer="mpeg", is_sure=False),
    _kind("a Flash video", b"FLV\1", demuxer="flv"),
    _kind("an AVI", b"RIFF", rb"....AVI ", "avi"),
    _kind("a WavPack", b"wvpk", demuxer="wv"),
    _kind("a Monkey's Audio", b"MAC ", demuxer="ape"),
    _kind("a True Audio", b"TTA1", demuxer="tta"),
    _kind("a DSD", b"DSD \x1c\0", demuxer="dsf"),
    _kind("a Musepack", b"MPCK", demuxer="mpc8"),
    _kind("a RealAudio", b".RMF", demuxer="rm"),
)
"""What PyAV reads, where it is installed."""

FOREIGN = {
    "a ZIP archive": b"PK\3\4",
    "a gzip archive": b"\x1f\x8b\x08",
    "an xz archive": b"\xfd7zXZ",
    "a PNG image": b"\x89PNG",
    "a JPEG image": b"\xff\xd8\xff",
    "a PDF": b"%PDF-",
    "a web page": b"<!DOCTYPE",
    "XML": b"<?xml",
    "a playlist": b"#EXTM3U",
    "MIDI: notes, not sound": b"MThd",
    "a program": b"\x7fELF",
}
"""What is sent by mistake; as raw samples it would be noise."""

HEADED = (
    WAV, RIFX, RF64, BW64, W64, AIFF, SVX8, SVX16, CAF, CAF_PACKED, AU, AU_LITTLE, HTK, VOC, DUMP, FLAC, OGG,
)  # fmt: skip
ALL: tuple[Kind, ...] = (*HEADED, *FORWARD, *CONTAINERS)


def recognised(view: bytes) -> Kind | None:
    """The kind whose first bytes these are."""
    return next((kind for kind in ALL if kind.begins(view)), None)


def found(view: bytes) -> int | None:
    """Where a recording begins in these bytes, of a kind that is not met by chance."""
    places = []
    for kind in HEADED + FORWARD:
        at = view.find(kind.magic) if kind.is_sure else -1
        while at >= 0 and not kind.begins(view[at : at + LOOK]):
            at = view.find(kind.magic, at + 1)
        places.append(at)
    return min((at for at in places if at >= 0), default=None)


def is_text(view: bytes) -> bool:
    """Whether this is written, not recorded."""
    return len(view) >= 8 and all(byte in b"\t\n\r" or 0x20 <= byte < 0x7F for byte in view)
