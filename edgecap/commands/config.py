"""config: the configuration in force, explained."""

from . import options


def config(
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
    """The configuration in force, every key explained: YAML to save and edit.

    edgecap config > ~/.config/edgecap/config.yaml
    """
    from edgecap.runtime.config.file import load, render

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
    print(render(load(config_file, flags)), end="")
