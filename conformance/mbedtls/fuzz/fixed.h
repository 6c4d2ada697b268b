/* Randomness, time and programs of fuzz targets, which depend on their input alone. */
#ifndef FIXED_H
#define FIXED_H

/* Begins the sequence of randomness again. */
void fixed_begin(void);

#endif
