"""A whole vendor inside this process: the reference to read first. Begin with `plugin`, then `publisher`."""
