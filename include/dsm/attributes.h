/* Compiler attributes of the public declarations; nothing to call here. */
#ifndef DSM_ATTRIBUTES_H
#define DSM_ATTRIBUTES_H

#ifdef __cplusplus
#define DSM_BEGIN_DECLS extern "C" {
#define DSM_END_DECLS }
#else
#define DSM_BEGIN_DECLS
#define DSM_END_DECLS
#endif

#if defined(__GNUC__)
#define DSM_API __attribute__((visibility("default")))
#define DSM_CHECKED __attribute__((warn_unused_result))
#define DSM_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define DSM_NORETURN __attribute__((noreturn))
#define DSM_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define DSM_API
#define DSM_CHECKED
#define DSM_NONNULL(...)
#define DSM_NORETURN
#define DSM_PRINTF(text, first)
#endif

/* Timeouts are milliseconds; 0 tries once. */
#define DSM_FOREVER (-1)

/* Grace periods are milliseconds too; this one takes the cluster's option. */
#define DSM_GRACE (-2)

#endif
