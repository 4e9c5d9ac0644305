"""ip-interface-exporter: every change of a computer's IP interfaces, counted and published.

Start reading at `app` (how the parts are put together) or follow one notification:
bindings → sources → monitor → state → catalogue → exposition → web.
"""

__version__ = "0.1.0"
