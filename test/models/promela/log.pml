/*
 * A log in a state store, in Promela, for Spin: hosts append while owners reseal, machines crash and start again, answers
 * get lost, writes arrive late, reads are late. `npm run models:spin` searches all states of each configuration.
 *
 * It models SPEC.md, section 7.4: the pointer, "Numbers", "The current epoch", "Appending", and "Resealing", and the rules
 * of section 6.1 for writes whose outcome is unknown. It follows src/state/log.ts, epochs.ts, reseal.ts and settle.ts.
 * The invariants are those of test/models/log-scene.ts.
 *
 * What it leaves out:
 * - Damage, and so "A damaged seal-off", garbage behind a seal-off, the hash of the previous record, flag 4. Every record
 *   is authentic, and there is one owner id: no adopted sources.
 * - `upTo` and `leaveOut`: no number is ever omitted, so a close has no ranges.
 * - Lost and late drops. A drop has no effect that a second one, or a late one, could change.
 * - A write that fails and changes nothing: it is repeated, and nothing else happened. Pauses. A store that never answers
 *   is a crash: the machine stops, and does not know what became of its write.
 * - Reading the versions of an epoch takes one step for all that the step needs. They never change, so they differ only
 *   in whether they were dropped before or after. The explorer in test/models reads them one by one.
 * - The count of a former epoch is taken from its seal-off. Both agree once the log has reached the epoch of the close.
 *
 * Bounds are macros. `assert(... < E)` and the like turn a bound that is too small into an error, so nothing is cut off.
 * The macros under "Broken variants" break one rule each. Spin must find an error with each of them.
 */

/* Bounds. */
#ifndef BEFORE
#define BEFORE 1   /* records before the run */
#endif
#ifndef HOSTS
#define HOSTS 1
#endif
#ifndef APPENDS
#define APPENDS 1  /* records that each host appends */
#endif
#ifndef OWNERS
#define OWNERS 1
#endif
#ifndef READERS
#define READERS 0
#endif
#ifndef CRASHES
#define CRASHES 0  /* of all machines together. A host that crashes stops, an owner starts again */
#endif
#ifndef FAULTS
#define FAULTS 0   /* lost answers, repeated requests, and late writes, of all machines together */
#endif
#ifndef LATE
#define LATE 0     /* late reads, of all machines together */
#endif
#ifndef BACK
#define BACK 2     /* how many versions a late read may be behind */
#endif
#ifndef TRIES
#define TRIES 4    /* of one append: 100 in the library */
#endif
#ifndef ROUNDS
#define ROUNDS 4   /* of one resealing: 12 in the library */
#endif
#ifndef E
#define E 4        /* epochs */
#endif
#ifndef V
#define V 8        /* versions of an epoch */
#endif

/*
 * Broken variants:
 * NO_LOOK_AFTER_FALSE   a writer takes `false` for "not written"
 * NO_LOOK_FOR_ID        a host that is not sure appends again without looking for its record
 * NO_CLOSE              a close does not say which epochs were before, so nobody finishes what a crash has left
 * DROP_SEAL_OFF         an owner drops an old epoch with its seal-off
 * DROP_ABOVE            an owner drops what it finds above the current epoch
 * USED_EPOCH            an owner goes on in the half-made epoch of another owner
 * COPY_BEHIND_SEAL_OFF  an owner goes on behind the seal-off of another owner
 * OVERWRITE             a seal-off is written without compare-and-set
 * SEAL_WITHOUT_COPY     a seal-off goes behind what was appended meanwhile, without a copy of it
 * EARLY_POINTER         an owner raises the pointer before the seal-off, and everybody relies on it
 * NO_FLOOR              a reader does not compare what it reads with what it has read before
 * OLD_NUMBER            a copy gets the number of its version
 * DROP_BEFORE_POINTER   an old epoch is dropped with its seal-off, and the pointer raised after it
 */

#define NOTHING 0
#define CONTENT 1
#define CLOSE   2
#define SEAL    3

/* A record: its kind, id, number, who wrote it, its pair, and the payload of a marker. */
#define kind(r) ((r) & 3)
#define id(r)   (((r) >> 2) & 15)
#define num(r)  (((r) >> 6) & 15)
#define pair(r) (((r) >> 15) & 3)
#define next(r) (((r) >> 17) & 7)
#define seq(r)  (((r) >> 20) & 15)
#define mask(r) (((r) >> 24) & 63)
#define content(i, n, w, p) (CONTENT | ((i) << 2) | ((n) << 6) | ((w) << 10) | ((p) << 15))
#define close(n, w, m)      (CLOSE | ((n) << 6) | ((w) << 10) | ((m) << 24))
#define sealOff(n, w, x, s) (SEAL | ((n) << 6) | ((w) << 10) | ((x) << 17) | ((s) << 20))

/* The pointer is an object behind the epochs. Its versions hold the number of an epoch. */
#define POINTER E
#define IDS (BEFORE + HOSTS * APPENDS)
#define at(e, v) cell[(e) * V + (v) - 1]

int  cell[(E + 1) * V];  /* all versions that were ever written */
byte top[E + 1];         /* the newest version of each object */
byte low[E + 1];         /* the lowest version that was not dropped */

byte acked[IDS + 1];     /* the number that each record was acknowledged with, or 0 */
short refused;           /* the records that were reported as not appended */

byte crashes = CRASHES;
byte faults = FAULTS;
byte late = LATE;

/* One late write on its way. */
byte flyE, flyV;
int  flyR;

byte running;

/* For computations within one step. */
hidden byte ce, cs, cb, cv, cn, ck;
hidden int cr;
hidden short seen, must;

/* Follows the seal-offs from epoch 0: ce becomes the current epoch, cs its start, cb its base. */
inline follow() {
  ce = 0; cs = 0; cb = 0; must = 0;
  do
  :: cv = 1;
     do
     :: cv <= top[ce] ->
        cr = at(ce, cv);
        if
        :: kind(cr) == SEAL -> break
        :: kind(cr) == CONTENT -> must = must | (1 << id(cr)); cv++
        :: else -> cv++
        fi
     :: else -> break
     od;
     if
     :: cv <= top[ce] ->
        assert(low[ce] <= cv);             /* a seal-off is never dropped */
        cs = seq(cr); cb = num(cr); ce = next(cr)
     :: else -> break
     fi
  od
}

/* What must hold in every state. */
inline check() {
  d_step {
    follow();
    seen = 0; cn = 0; cv = 1;
    do
    :: cv <= top[ce] ->
       cr = at(ce, cv);
       if
       :: kind(cr) == CONTENT ->
          assert(!(seen & (1 << id(cr))));                          /* no record stands twice */
          seen = seen | (1 << id(cr));
          assert(num(cr) > cn);                                     /* numbers ascend */
          cn = num(cr);
          assert(!acked[id(cr)] || acked[id(cr)] == cn);            /* at the acknowledged position */
          assert(cv <= cs || cn == cb + cv - cs)                    /* behind the start, each version has its number */
       :: kind(cr) == CLOSE -> assert(cv <= cs)                     /* nobody writes a close behind the start */
       :: else -> assert(false)
       fi;
       cv++
    :: else -> break
    od;
    cv = 1;
    do
    :: cv <= IDS -> assert(!acked[cv] || (seen & (1 << cv))); cv++  /* no acknowledged record is lost */
    :: else -> break
    od;
    assert(!(must & ~seen));                                        /* what was once in the log stays in it */
    assert(!(seen & refused));                                      /* what was refused never appears */
    assert(cn == (top[ce] > cs -> cb + top[ce] - cs : cb));         /* the last record is the last number */
    assert(ce == 0 || kind(at(ce, cs)) == CLOSE);
    cv = ce;
    do
    :: cv < E -> assert(low[cv] == 1); cv++                         /* nothing current, or above it, is dropped */
    :: else -> break
    od;
    ce = 0; cs = 0; cb = 0; cv = 0; cn = 0; cr = 0; seen = 0; must = 0
  }
}

inline put(we, wv, wr) { at(we, wv) = wr; top[we] = wv; check() }

/* Reads the newest version of an object into rn. The read may be late. */
inline readNewest(x) {
  if
  :: rn = top[x]
  :: late > 0 && top[x] > 0 -> late--; rn = top[x] - 1
  :: BACK > 1 && late > 0 && top[x] > 1 -> late--; rn = top[x] - 2
  fi
}

#define WRITTEN 1
#define TAKEN   2
#define UNKNOWN 3

/* Writes wr as version wv of we, until the store answers, and finds out what became of it: writeSettled. */
inline settle() {
  do
  :: atomic {
       assert(wv <= V);
       /* goon: whether it is written now. crashed: whether the machine stops. out: what it is told. */
       if
       :: top[we] == wv - 1 -> goon = 1; out = WRITTEN
       :: top[we] != wv - 1 -> out = NOTHING
       /* The request is sent twice: done, and false. */
       :: faults > 0 && top[we] == wv - 1 -> faults--; goon = 1; out = NOTHING
       /* Done, but the answer is lost. It is written again. */
       :: faults > 0 && top[we] == wv - 1 -> faults--; goon = 1; out = UNKNOWN
       /* It arrives later. It is written again. */
       :: faults > 0 && flyV == 0 -> faults--; flyE = we; flyV = wv; flyR = wr; out = UNKNOWN
       :: crashes > 0 -> crashes--; crashed = 1; out = WRITTEN
       :: crashes > 0 && top[we] == wv - 1 -> crashes--; crashed = 1; goon = 1; out = WRITTEN
       fi;
       if
       :: goon -> goon = 0; put(we, wv, wr)
       :: else
       fi
     }
     if
     :: out == WRITTEN -> break
     :: out == UNKNOWN -> out = NOTHING
     :: else ->
        atomic {
          if
#ifdef NO_LOOK_AFTER_FALSE
          :: true -> out = TAKEN
#endif
          :: low[we] > wv -> out = UNKNOWN
          :: low[we] <= wv -> out = (at(we, wv) == wr -> WRITTEN : TAKEN)
          fi;
          break
        }
     fi
  od
}

/* Finds the current epoch: e, st, ba, and its newest version n. `doubt`: what is known does not count. */
inline find() {
  if
  :: kv > 0 && kv != kst -> atomic { e = ke; st = kst; ba = kba }
  :: else ->
     atomic {
       readNewest(POINTER);
       e = (rn > 0 -> at(POINTER, rn) : 0);
       rn = 0; st = 0; ba = 0;
     }
#ifdef EARLY_POINTER
     /* It relies on the pointer, and takes the last close for the start. */
     d_step {
       cv = top[e];
       do
       :: cv > 0 && kind(at(e, cv)) != CLOSE -> cv--
       :: else -> break
       od;
       if
       :: cv > 0 -> st = cv; ba = num(at(e, cv))
       :: else -> st = 0; ba = 0
       fi;
       cv = 0
     }
#else
     f = e;
     do
     :: f > 0 ->
        atomic {
          f--;
          readNewest(f);
          if
          :: rn > 0 && kind(at(f, rn)) == SEAL && next(at(f, rn)) == e ->
             st = seq(at(f, rn)); ba = num(at(f, rn)); rn = 0; break
          :: else -> rn = 0
          fi
        }
     :: else -> atomic { e = 0; st = 0; ba = 0; break }
     od;
     f = 0;
#endif
  fi;
  do
  :: atomic {
       readNewest(e);
       if
       :: rn < st -> rn = 0                                   /* it has its copies: the read was late */
       :: rn >= st && rn == 0 -> n = 0; break                 /* epoch 0 */
       :: rn >= st && rn > 0 ->
          n = rn; rn = 0;
          if
#ifndef COPY_BEHIND_SEAL_OFF
          :: kind(at(e, n)) == SEAL ->
             cr = at(e, n); e = next(cr); st = seq(cr); ba = num(cr); cr = 0; n = 0
#endif
          :: (kind(at(e, n)) != SEAL) && !doubt && kv > 0 && ke == e && n <= kv + 1 -> break
          :: else ->
             goon = 1
          fi
       fi
     }
     if
     :: goon ->
        atomic {
          goon = 0;
          /* If the first version is gone, the epoch is over: the read was late. */
          if
          :: low[e] > 1 ->
             cr = at(e, low[e]);
             assert(kind(cr) == SEAL);
             e = next(cr); st = seq(cr); ba = num(cr); cr = 0; n = 0
          :: low[e] == 1 -> break
          fi
        }
     :: else
     fi
  od;
  atomic { if :: n > 0 -> ke = e; kst = st; kba = ba; kv = n :: else fi }
}

/* Raises the pointer to epoch x. */
inline raise(x) {
  do
  :: pointed >= x || crashed -> break
  :: else ->
     atomic {
       readNewest(POINTER);
       if
       :: rn > 0 && at(POINTER, rn) >= x -> pointed = at(POINTER, rn); wv = 0
       :: else -> we = POINTER; wv = rn + 1; wr = x
       fi;
       rn = 0
     }
     if
     :: wv > 0 ->
        settle();
        if
        :: out == WRITTEN && !crashed -> pointed = x
        :: else
        fi;
        atomic { we = 0; wv = 0; wr = 0; out = 0 }
     :: else
     fi
  od
}

#define HANDLE byte e, st, ba, n, ke, kst, kba, kv, pointed, f, rn, we, wv, out; int wr; bool crashed, goon, doubt

proctype Host(byte h) {
  HANDLE;
  byte k, tries, na;
  byte ae[TRIES], av[TRIES], an[TRIES], ao[TRIES];   /* attempts: epoch, version, number, outcome */
  byte ack;

  k = 1;
  do
  :: k > APPENDS || crashed -> break
  :: else ->
     tries = 0; na = 0; ack = 0;
     do
     :: find();
#ifndef NO_LOOK_FOR_ID
        /* Is one of the attempts in the log? */
        f = 0;
        do
        :: f < na ->
           atomic {
             if
             :: ae[f] == e ->
                if
                :: av[f] <= n && low[e] <= av[f] -> cr = at(e, av[f])
                :: else -> cr = 0
                fi
             :: else ->
                cr = 0; cv = 1;
                do
                :: low[e] == 1 && cv <= st ->
                   if
                   :: kind(at(e, cv)) == CONTENT && num(at(e, cv)) == an[f] -> cr = at(e, cv); break
                   :: else -> cv++
                   fi
                :: else -> break
                od;
                cv = 0
             fi;
             if
             :: kind(cr) == CONTENT && num(cr) == an[f] && id(cr) == BEFORE + h * APPENDS + k -> ack = an[f]
             :: else
             fi;
             cr = 0;
             f++
           }
        :: else -> break
        od;
        f = 0;
#endif
        if
        :: ack > 0 -> break
        :: else
        fi;
        if
        :: tries == TRIES -> break
        :: else
        fi;
        raise(e);
        if
        :: crashed -> break
        :: else
        fi;
        atomic {
          we = e; wv = n + 1;
          wr = content(BEFORE + h * APPENDS + k, ba + wv - st, 0, 0);
          tries++
        }
        settle();
        if
        :: crashed -> break
        :: else
        fi;
        if
        :: out == WRITTEN -> atomic { ack = num(wr); ke = e; kst = st; kba = ba; kv = wv; break }
        :: else ->
           atomic { ae[na] = e; av[na] = wv; an[na] = num(wr); ao[na] = out; na++; we = 0; wv = 0; wr = 0; out = 0 }
        fi
     od;
     atomic {
       if
       :: ack > 0 -> acked[BEFORE + h * APPENDS + k] = ack; check()
       :: ack == 0 && !crashed ->
          /* A conflict. It says that nothing was appended, unless the outcome of an attempt is unknown. */
          cv = 0;
          do
          :: cv < na && ao[cv] != UNKNOWN -> cv++
          :: else -> break
          od;
          if
          :: cv == na -> refused = refused | (1 << (BEFORE + h * APPENDS + k)); check()
          :: else
          fi;
          cv = 0
       :: else
       fi;
       do
       :: na > 0 -> na--; ae[na] = 0; av[na] = 0; an[na] = 0; ao[na] = 0
       :: else -> break
       od;
       we = 0; wv = 0; wr = 0; out = 0; ack = 0; tries = 0; k++
     }
  od;
  running--
}

/* Writes the next record of the new epoch. t, tv: the epoch and its newest version, 0 if it has no version yet. */
#define WRITE(record)                                                                                             \
  do                                                                                                              \
  :: if                                                                                                           \
     :: tv > 0 -> n = tv                                                                                          \
     :: else ->                                                                                                   \
        /* The lowest epoch that nobody has used. */                                                              \
        t = (t == 0 -> e + 1 : t);                                                                                \
        do                                                                                                        \
        :: atomic {                                                                                               \
             assert(t < E);                                                                                       \
             readNewest(t);                                                                                       \
             n = rn;                                                                                              \
             rn = 0;                                                                                              \
             if                                                                                                   \
             :: n > 0 && UNUSED -> t++                                                                            \
             :: else -> break                                                                                     \
             fi                                                                                                   \
           }                                                                                                      \
        od                                                                                                        \
     fi;                                                                                                          \
     atomic { we = t; wv = n + 1; wr = record; n = 0 };                                                           \
     settle();                                                                                                    \
     atomic {                                                                                                     \
       if                                                                                                         \
       :: out == WRITTEN -> tv = wv; we = 0; wv = 0; wr = 0; out = 0; break                                       \
       :: out != WRITTEN && tv > 0 -> lost = 1; we = 0; wv = 0; wr = 0; out = 0; break                            \
       :: else -> we = 0; wv = 0; wr = 0; out = 0                                                                 \
       fi                                                                                                         \
     }                                                                                                            \
  od

#ifdef USED_EPOCH
#define UNUSED (kind(at(t, n)) == SEAL)
#else
#define UNUSED true
#endif

#ifdef OLD_NUMBER
#define numberOfCopy(r) (tv + 1)
#else
#define numberOfCopy(r) num(r)
#endif

proctype Owner(byte o) {
  HANDLE;
  byte round, starts, t, tv, handled, newest, base, former, oe, ost, oba, tries;
  bool lost, done, need;

begin:
  round = 1;
  done = 0;
  do
  :: round > ROUNDS -> break
  :: else ->
     /* Finds the end of the log. It has reached the records before the run. */
     do
     :: find();
        if
        :: (n > st -> ba + n - st : ba) >= BEFORE -> break
        :: else -> doubt = 1
        fi
     od;
     atomic {
       doubt = 0;
       oe = e; ost = st; oba = ba; newest = n; n = 0; handled = 0; tv = 0; t = 0; lost = 0;
       /* The epochs before this one: from its close, or if that is gone, from their seal-offs. */
       former = 0;
       if
       :: oe > 0 && low[oe] <= ost -> former = mask(at(oe, ost))
       :: oe > 0 && low[oe] > ost ->
          cv = 0;
          do
          :: cv < oe ->
             if
             :: kind(at(cv, top[cv])) == SEAL -> former = former | (1 << cv)
             :: else
             fi;
             cv++
          :: else -> break
          od;
          cv = 0
       :: else
       fi
     }
     /* Is anything under another pair? If the epoch is gone, that is seen when it is copied. */
     atomic {
       need = (low[oe] > 1);
       cv = 1;
       do
       :: cv <= newest ->
          if
          :: kind(at(oe, cv)) == CONTENT && pair(at(oe, cv)) != o + 1 -> need = 1
          :: else
          fi;
          cv++
       :: else -> break
       od;
       cv = 0
     }
     do
     :: !need || lost || done || crashed -> break
     :: else ->
        /* Copies what is in the old epoch, from where it stopped before. */
        do
        :: handled >= newest || lost || crashed -> break
        :: else ->
           if
           :: low[oe] > handled + 1 ->
              doubt = 1;
              find();
              atomic { doubt = 0; n = 0; assert(e != oe); e = oe; st = ost; ba = oba; lost = 1 }
           :: low[oe] <= handled + 1 && kind(at(oe, handled + 1)) == CONTENT ->
              WRITE(content(id(at(oe, handled + 1)), numberOfCopy(at(oe, handled + 1)), 1 + o * 8 + starts * 4 + (round & 3), o + 1));
              handled++
           :: else -> handled++
           fi
        od;
        if
        :: lost || crashed -> break
        :: else
        fi;
        base = (handled > ost -> oba + handled - ost : oba);
#ifdef NO_CLOSE
        WRITE(close(base, 1 + o * 8 + starts * 4 + (round & 3), 0));
#else
        WRITE(close(base, 1 + o * 8 + starts * 4 + (round & 3), former | (1 << oe)));
#endif
        if
        :: lost || crashed -> break
        :: else
        fi;
#ifdef EARLY_POINTER
        raise(t);
        if
        :: crashed -> break
        :: else
        fi;
#endif
        /* Ends the old epoch. */
        tries = 1;
        do
        :: newest > handled || lost || done || crashed -> break
        :: else ->
           atomic {
             we = oe; wv = handled + 1;
             wr = sealOff(base, 1 + o * 8 + starts * 4 + (round & 3), t, tv)
           }
#ifdef OVERWRITE
           atomic { put(we, wv, wr); out = WRITTEN };
#else
           settle();
#endif
           if
           :: crashed -> break
           :: !crashed && out == WRITTEN -> done = 1; break
           :: else
           fi;
           atomic { we = 0; wv = 0; wr = 0; out = 0 };
           doubt = 1;
           find();
           doubt = 0;
           atomic {
             if
             :: e == t -> done = 1
#ifndef COPY_BEHIND_SEAL_OFF
             :: e != t && (e != oe || tries == ROUNDS) -> lost = 1
#endif
             :: else ->
                tries++;
                newest = (n > newest -> n : newest);
#ifdef SEAL_WITHOUT_COPY
                handled = newest;
                base = (handled > ost -> oba + handled - ost : oba);
#endif
             fi;
             e = oe; st = ost; ba = oba; n = 0
           }
        od;
        atomic { we = 0; wv = 0; wr = 0; out = 0; tries = 0 }
     od;
     if
     :: crashed -> break
     :: else
     fi;
     if
     :: !lost ->
        /* Raises the pointer, and drops what former epochs hold below their seal-offs. */
        find();
        n = 0;
#if !defined(DROP_BEFORE_POINTER)
        raise(e);
        if
        :: crashed -> break
        :: else
        fi;
#endif
        former = ((e > 0 && low[e] <= st) -> mask(at(e, st)) : 0);
        f = 0;
        do
        :: f < e && !crashed ->
           if
           :: former & (1 << f) ->
              /* Below the seal-off. */
              atomic {
                if
                :: crashes > 0 -> crashes--; crashed = 1
                :: true ->
#if defined(DROP_SEAL_OFF) || defined(DROP_BEFORE_POINTER)
                   low[f] = top[f] + 1;
#else
                   low[f] = top[f];
#endif
                   check()
                fi
              }
           :: else ->
#ifndef DROP_ABOVE
              /* An epoch that was given up: only between the last former epoch and this one. */
              if
              :: former > 0 && (former >> f) == 0 ->
                 atomic {
                   readNewest(f);
                   if
                   :: rn > low[f] -> low[f] = rn; check()
                   :: else
                   fi;
                   rn = 0
                 }
              :: else
              fi
#endif
           fi;
           f++
        :: else -> break
        od;
#ifdef DROP_ABOVE
        f = e + 1;
        do
        :: f < E -> atomic { if :: top[f] > 1 -> low[f] = top[f]; check() :: else fi; f++ }
        :: else -> break
        od;
#endif
        f = 0;
#ifdef DROP_BEFORE_POINTER
        raise(e);
#endif
        if
        :: crashed -> break
        :: else
        fi;
        done = 1;
        break
     :: else ->
        atomic { lost = 0; done = 0; need = 0; former = 0; t = 0; tv = 0; handled = 0; newest = 0; base = 0 }
        round++
     fi
  od;
  if
  :: crashed ->
     atomic {
       crashed = 0; done = 0; lost = 0; need = 0; doubt = 0; goon = 0;
       e = 0; st = 0; ba = 0; n = 0; ke = 0; kst = 0; kba = 0; kv = 0; pointed = 0; f = 0;
       we = 0; wv = 0; wr = 0; out = 0; t = 0; tv = 0; handled = 0; newest = 0; base = 0; former = 0;
       oe = 0; ost = 0; oba = 0; tries = 0;
       starts++;
       assert(starts < 2);                                          /* or two starts write the same records */
       goto begin
     }
  :: else
  fi;
  atomic {
    if
    :: done ->
       /* The log has reached an epoch of which all copies are under this owner's pair, and old epochs are dropped. */
       ce = 0; cs = 0; ck = 0;
       do
       :: cv = 1; cn = 1;
          do
          :: cv <= top[ce] && kind(at(ce, cv)) != SEAL ->
             if
             :: kind(at(ce, cv)) == CONTENT && (ce == 0 || cv < cs) && pair(at(ce, cv)) != o + 1 -> cn = 0
             :: else
             fi;
             cv++
          :: else -> break
          od;
          ck = ck | cn;
          assert(ce >= e || low[ce] == cv);
          if
          :: cv <= top[ce] -> cs = seq(at(ce, cv)); ce = next(at(ce, cv))
          :: else -> break
          fi
       od;
       assert(ck);
       ce = 0; cs = 0; cv = 0; cn = 0; ck = 0
    :: else
    fi;
    running--
  }
}

/* Reads the log twice with one handle. It never sees less than before, and nothing at another number. */
proctype Reader() {
  HANDLE;
  byte pass, floor, last;
  byte sawNumber[IDS + 1];

  pass = 1;
  do
  :: pass > 2 -> break
  :: else ->
     do
     :: find();
        last = (n > st -> ba + n - st : ba);
#ifdef NO_FLOOR
        floor = 0;
#endif
        if
        :: last < floor -> doubt = 1
        :: else ->
           atomic {
             if
             :: low[e] > 1 -> doubt = 1                /* the epoch was dropped: it is found anew */
             :: else -> doubt = 0; break
             fi
           }
        fi
     od;
     atomic {
       seen = 0; cv = 1;
       do
       :: cv <= n ->
          cr = at(e, cv);
          if
          :: kind(cr) == CONTENT ->
             assert(!(seen & (1 << id(cr))));
             seen = seen | (1 << id(cr));
             assert(!sawNumber[id(cr)] || sawNumber[id(cr)] == num(cr));
             sawNumber[id(cr)] = num(cr)
          :: else
          fi;
          cv++
       :: else -> break
       od;
       cv = 1;
       do
       :: cv <= IDS -> assert(!sawNumber[cv] || (seen & (1 << cv))); cv++
       :: else -> break
       od;
       floor = last;
       seen = 0; cv = 0; cr = 0; n = 0;
       pass++
     }
  od;
  running--
}

/* Lets a late write arrive, at any time. */
proctype Network() {
  do
  :: atomic {
       flyV > 0 ->
       if
       :: top[flyE] == flyV - 1 -> put(flyE, flyV, flyR)
       :: else
       fi;
       flyE = 0; flyV = 0; flyR = 0
     }
  :: atomic { running == 0 && flyV == 0 -> break }
  od
}

init {
  atomic {
    cv = 0;
    do
    :: cv <= E -> low[cv] = 1; cv++
    :: else -> break
    od;
    cv = 1;
    do
    :: cv <= BEFORE -> at(0, cv) = content(cv, cv, 0, 0); top[0] = cv; acked[cv] = cv; cv++
    :: else -> break
    od;
    running = HOSTS + OWNERS + READERS;
    cn = 0;
    do
    :: cn < HOSTS -> run Host(cn); cn++
    :: else -> break
    od;
    cn = 0;
    do
    :: cn < OWNERS -> run Owner(cn); cn++
    :: else -> break
    od;
    cn = 0;
    do
    :: cn < READERS -> run Reader(); cn++
    :: else -> break
    od;
#if FAULTS > 0
    run Network();
#endif
    cv = 0; cn = 0
  }
}
