"""Facebook's side of the ports; `plugin` is the only public face."""
