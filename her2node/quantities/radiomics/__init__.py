"""Radiomics as the Image Biomarker Standardisation Initiative defines it."""
