"""A network's mask on a volume, by the rules of nnU-Net version 2 (Isensee et al., Nature Methods 2021;18:203-211).

``plans`` says what a network was trained on, ``resampling`` brings images to its grid and its answer back, ``windows``
lays patches over an image, ``segmenting`` goes the whole way; ``ensemble`` holds a package's networks, ``turning``
turns images as they want them. The rules were taken from the published description and
compared with nnU-Net's own predictor, which is not needed to run anything here.
"""
