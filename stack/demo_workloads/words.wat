;; Counts the lines, words and bytes of its standard input, as `wc` does.
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  ;; 8: iovec, 16: bytes moved, 64..95: digits, 65536..: what is read
  (memory (export "memory") 2)
  (global $lines (mut i32) (i32.const 0))
  (global $words (mut i32) (i32.const 0))
  (global $bytes (mut i32) (i32.const 0))
  (global $inside (mut i32) (i32.const 0))

  (func $fill (result i32)
    (i32.store (i32.const 8) (i32.const 65536))
    (i32.store (i32.const 12) (i32.const 65536))
    (i32.store (i32.const 16) (i32.const 0))
    (drop (call $fd_read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 16)))
    (i32.load (i32.const 16)))

  (func $is_space (param $byte i32) (result i32)
    (i32.or
      (i32.eq (local.get $byte) (i32.const 32))
      (i32.lt_u (i32.sub (local.get $byte) (i32.const 9)) (i32.const 5))))

  (func $count (param $size i32)
    (local $at i32) (local $byte i32) (local $space i32)
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $at) (local.get $size)))
        (local.set $byte (i32.load8_u offset=65536 (local.get $at)))
        (local.set $space (call $is_space (local.get $byte)))
        (global.set $lines
          (i32.add (global.get $lines) (i32.eq (local.get $byte) (i32.const 10))))
        (if (i32.and (i32.eqz (local.get $space)) (i32.eqz (global.get $inside)))
          (then (global.set $words (i32.add (global.get $words) (i32.const 1)))))
        (global.set $inside (i32.eqz (local.get $space)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (global.set $bytes (i32.add (global.get $bytes) (local.get $size))))

  (func $print (param $value i32) (param $after i32)
    (local $at i32)
    (local.set $at (i32.const 95))
    (i32.store8 (local.get $at) (local.get $after))
    (loop $next
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.rem_u (local.get $value) (i32.const 10)) (i32.const 48)))
      (local.set $value (i32.div_u (local.get $value) (i32.const 10)))
      (br_if $next (local.get $value)))
    (i32.store (i32.const 8) (local.get $at))
    (i32.store (i32.const 12) (i32.sub (i32.const 96) (local.get $at)))
    (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16))))

  (func (export "_start")
    (local $size i32)
    (block $end
      (loop $next
        (local.set $size (call $fill))
        (br_if $end (i32.eqz (local.get $size)))
        (call $count (local.get $size))
        (br $next)))
    (call $print (global.get $lines) (i32.const 32))
    (call $print (global.get $words) (i32.const 32))
    (call $print (global.get $bytes) (i32.const 10))))
