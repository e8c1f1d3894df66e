/* References to functions: how a worker finds the function of a job.
 *
 * A worker is a fork of the program, so a function's address means the same in
 * both: but only in objects that were loaded when the workers were forked, and
 * not at all to a program that attached.  Other functions are named by the file
 * that they come from and the symbol there, and the worker loads the same file.
 * A static function has no symbol that the dynamic linker knows; its place in
 * the file is named then, with a hash of the code that is loaded, so that a
 * worker that has another build refuses it. */
#ifndef DSM_CODE_FUNCTION_H
#define DSM_CODE_FUNCTION_H

#include <dsm/worker.h>

#include <stddef.h>

/* The code that was loaded at some moment: the program and its shared objects.
 */
struct dsm__objects;

/* What is loaded now, to be taken just before the workers are forked; NULL
 * without memory. */
struct dsm__objects *dsm__objects_now(void);
void dsm__objects_free(struct dsm__objects *objects);

/* Room for a reference: "PATH\0SYMBOL\0" or "PATH\0+OFFSET:HASH\0", both
 * numbers in hexadecimal. */
#define DSM__FUNCTION_TEXT 336

/* How workers find `fn`.  *size is 0 where its address serves; else that of the
 * reference in `text`, with both zeros.  `known` is what was loaded when the
 * workers were forked, NULL for a program that attached.  From any thread; some
 * 100 ns for an address or when the thread asks for the same function again.
 * 0; -ENOEXEC: workers cannot load it; -ENAMETOOLONG. */
int dsm__function_describe(char text[DSM__FUNCTION_TEXT], size_t *size,
                           dsm_fn fn, const struct dsm__objects *known);

/* In a worker: the function of a reference, which may be anything.  Its library
 * is loaded at the first call and stays; where one of that path is loaded
 * already, that one is taken, also if the file has been replaced since.  From
 * one thread at a time.  0; -ENOEXEC, with a sentence that names the file and
 * the function. */
int dsm__function_find(dsm_fn *fn, const char *text, size_t size);

#endif
