/*
 * base/fault.h -- named places where a test can make the process die or a call fail.
 *
 * Compiled in only with -DJOBLOG_FAULTS (make FAULTS=1); otherwise FAULT_POINT is nothing and
 * FAULT_ERR is 0. Armed by the environment: JOBLOG_FAULT="name:count[:action]" (comma separated);
 * at the count-th pass the action happens: kill (default: SIGKILL to self), err (FAULT_ERR returns
 * true), stall (250 ms sleep); each: FAULT_ERR returns true at every count-th pass.
 *
 * FAULT_PLANT is FAULT_ERR for a bug that is planted there, to see that the checker of tests/fault
 * catches it: names begin with "plant.", and no build without JOBLOG_FAULTS holds any of it.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#ifdef JOBLOG_FAULTS
int fault_hit(const char *name);
#define FAULT_POINT(name) ((void)fault_hit(name))
#define FAULT_ERR(name) (fault_hit(name))
#define FAULT_PLANT(name) (fault_hit("plant." name))
#else
#define FAULT_POINT(name) ((void)0)
#define FAULT_ERR(name) (0)
#define FAULT_PLANT(name) (0)
#endif

#endif
