"""run: this room, or several, captioned and published."""

from ..live import run_daemon, view_for
from . import options


def run(
    json: options.Json = False,
    quiet: options.Quiet = False,
    config_file: options.ConfigFile = None,
    bundle: options.Bundle = None,
    provider: options.Provider = None,
    source: options.Source = None,
    name: options.Name = None,
    rate: options.Rate = None,
    channels: options.Channels = None,
    confidence: options.Confidence = None,
    hedge: options.Hedge = None,
    interval: options.Interval = None,
    level: options.Level = None,
    room: options.Room = None,
    publish: options.Publish = None,
    replay: options.Replay = None,
    secret: options.KeySecret = None,
    readers: options.KeyReaders = None,
    insecure: options.Insecure = None,
    assigned: options.Set = None,
) -> None:
    """Caption this room: listen, print the captions as they come, and publish them.

    Ends by Ctrl-C. Nothing is recorded. Not a smoke alarm and no life-safety device.
    """
    from edgecap.runtime.config import file as config

    flags = options.given(
        assigned,
        bundle=bundle,
        provider=provider,
        source__kind=source,
        source__name=name,
        source__rate=rate,
        source__channels=channels,
        captions__confidence=confidence,
        captions__hedge=hedge,
        captions__interval=interval,
        captions__level=level,
        room=room,
        publish=publish,
        replay=replay,
        keys__secret=secret,
        keys__readers=readers,
        insecure=insecure,
    )
    settings = config.load(config_file, flags)
    # A file stands in for a microphone here, so it sounds at its own pace; a pipe paces itself.
    run_daemon(settings, view_for(json, quiet), realtime=True)
