// How many things in sight the keyboard must come to; of a group of radio buttons, one.
() => {
  const inSight = [...document.querySelectorAll('a, button, input, select, [tabindex="0"]')]
    .filter((each) => each.offsetParent && each.tabIndex >= 0);
  const radios = inSight.filter((each) => each.type === 'radio');
  return inSight.length - radios.length + new Set(radios.map((each) => each.name)).size;
}
