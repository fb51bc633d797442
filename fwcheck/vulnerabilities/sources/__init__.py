"""Readers of public vulnerability data, one file per publisher: each yields plain facts and carries no sentence over."""
