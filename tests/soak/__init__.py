"""Bad luck by the hour: runs beside kills, restarts and sources that change, then what is left of it all."""
