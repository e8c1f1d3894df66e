/* Sparse square matrices in this process's own memory: a reader of Matrix
 * Market files, and generators.
 *
 * Functions that can fail return 0, or -1 with a sentence of one line in
 * `message`; then there is nothing to free.
 */
#ifndef EXAMPLES_MATRIX_H
#define EXAMPLES_MATRIX_H

#include <stddef.h>
#include <stdint.h>

/* Room for a message, its final zero included. */
#define MATRIX_MESSAGE_MAX 1024

/* Compressed rows: those of row i are entries start[i] .. start[i+1]-1, in
 * ascending order of their columns, each column at most once.  Rows and
 * columns count from 0. */
typedef struct matrix {
    size_t n;
    size_t entries;
    size_t *start; /* n + 1 of them */
    uint32_t *column;
    double *value;
} matrix;

enum {
    /* Refuse a row whose diagonal entry is missing or zero. */
    MATRIX_DIAGONAL = 1
};

/* Reads
 *   - Matrix Market coordinate files, real or integer, general or symmetric
 *     (lower triangle);
 *   - the older plain form, which is general: a line `n n entries`, lines
 *     `row column value`, and `0 0 0` to close, which may be left out.
 * Entries given twice are added up.  Messages are "PATH:LINE: ...". */
int matrix_read(matrix *m, const char *path, unsigned flags,
                char message[MATRIX_MESSAGE_MAX]);

/* Poisson's equation on a grid, by differences of second order: 5 points in
 * two dimensions, 7 in three.  `grid` is "NXxNY" or "NXxNYxNZ". */
int matrix_poisson(matrix *m, const char *grid,
                   char message[MATRIX_MESSAGE_MAX]);

/* Of a zeroed matrix too. */
void matrix_free(matrix *m);

/* Row i of a dense symmetric matrix of n rows, the same whoever computes it:
 * -1 <= a_ij < 1 beside the diagonal, which exceeds the sum of their absolute
 * values by one twentieth. */
void matrix_random_row(double *row, size_t n, size_t i, uint64_t seed);

#endif
