"""Java programs on this machine: their jars, from one lock of Maven coordinates, and how they are started quickly."""
