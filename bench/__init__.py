"""Side-by-side benchmarks; `python -m bench` lists them."""
